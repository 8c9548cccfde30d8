"""List the specs that a store has records of: `ntkbench status` without a spec.

print(contents(StoreFolder(Path("runs"))))
"""

from collections import Counter
from collections.abc import Sequence

from ntkbench.render import table
from ntkbench.store import index
from ntkbench.store.folder import StoreFolder
from ntkbench.store.index import RunSummary


def contents(store: StoreFolder) -> str:
    """Return a table of the specs in a store: how their runs ended, and when the last one did; else what to do."""
    found: dict[str, list[RunSummary]] = {}
    for end in index.summaries(store).values():
        found.setdefault(end.spec, []).append(end)
    if not found:
        return f"{store.root} has no records; `ntkbench run SPEC` makes some, --store names another folder"
    newest = sorted(found, key=lambda spec: max(end.ended for end in found[spec]), reverse=True)
    rows = [_row(spec, found[spec]) for spec in newest]
    lines = table(["spec", "runs", "ended", "failed checks", "last (UTC)"], rows, "plain")
    return f"{lines}\n\n`ntkbench status SPEC` tells which runs of a spec are still to be done"


def _row(spec: str, ends: Sequence[RunSummary]) -> list[str]:
    """Return the line of a spec."""
    statuses = Counter(end.status for end in ends)
    ended = ", ".join(f"{number} {status}" for status, number in sorted(statuses.items(), key=lambda each: -each[1]))
    unsound = sum(end.failed_checks > 0 for end in ends)
    last = max(end.ended for end in ends)[:16].replace("T", " ")
    return [spec, str(len(ends)), ended, f"in {unsound} runs" if unsound else "", last]
