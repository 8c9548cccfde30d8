import pytest

from ntkbench.errors import SpecError
from ntkbench.spec.document import plain
from ntkbench.spec.reading import extends, parse


def merged(below: str, above: str) -> object:
    return plain(extends.merge(parse.parse(below, "below"), parse.parse(above, "above")))


def test_mappings_merge_and_later_wins():
    assert merged("{a: {b: 1, c: 2}, d: [1, 2]}", "{a: {c: 3}, d: [4]}") == {"a": {"b": 1, "c": 3}, "d": [4]}


def test_null_is_a_value():
    assert merged("{a: {b: 1}}", "{a: null}") == {"a": None}
    assert merged("{a: null}", "{a: {b: 1}}") == {"a": {"b": 1}}


def test_another_kind_replaces_the_whole_mapping():
    assert merged("{a: {kind: pgd, steps: 3}}", "{a: {kind: fgsm}}") == {"a": {"kind": "fgsm"}}
    assert merged("{a: {kind: pgd, steps: 3}}", "{a: {kind: pgd, eps: 1}}") == {
        "a": {"kind": "pgd", "steps": 3, "eps": 1}
    }
    assert merged("{a: {kind: pgd, steps: 3}}", "{a: {eps: 1}}") == {"a": {"kind": "pgd", "steps": 3, "eps": 1}}


def test_training_is_replaced_on_the_way_from_and_to_none():
    assert merged("{t: {mode: standard, epochs: 3}}", "{t: {mode: none}}") == {"t": {"mode": "none"}}
    assert merged("{t: {mode: none}}", "{t: {mode: standard, epochs: 3}}") == {"t": {"mode": "standard", "epochs": 3}}
    kept = {"t": {"mode": "linearized", "epochs": 3}}
    assert merged("{t: {mode: standard, epochs: 3}}", "{t: {mode: linearized}}") == kept


def test_the_order_within_an_overlay_does_not_matter():
    base = parse.parse("training: {mode: none}", "base")
    for settings in ("{training.mode: standard, training.epochs: 3}", "{training.epochs: 3, training.mode: standard}"):
        above = extends.overlay(parse.parse(settings, "s").entries.items(), base.place)
        assert plain(extends.merge(base, above)) == {"training": {"mode": "standard", "epochs": 3}}


def write(folder, **files: str):
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


def test_extends_is_relative_to_the_file_and_later_ones_win(tmp_path):
    (tmp_path / "base").mkdir()
    write(tmp_path / "base", one="{a: 1, b: 1, c: 1}", two="{extends: three.yaml, b: 2}", three="{a: 3, b: 3}")
    write(tmp_path, spec="extends: [base/one.yaml, base/two.yaml]\nc: 4\n")
    root = extends.load(str(tmp_path / "spec.yaml"))
    assert plain(root) == {"a": 3, "b": 2, "c": 4}
    assert root.at(("a",)).place.file.endswith("base/three.yaml")
    assert root.at(("c",)).place.line == 2
    assert root.place.file.endswith("spec.yaml")


def test_one_base_may_be_reached_twice(tmp_path):
    write(tmp_path, base="{a: 1}", left="extends: base.yaml", right="extends: base.yaml")
    write(tmp_path, spec="extends: [left.yaml, right.yaml]")
    assert plain(extends.load(str(tmp_path / "spec.yaml"))) == {"a": 1}


def test_files_are_named_as_the_user_names_them(tmp_path, monkeypatch):
    write(tmp_path, base="{a: 1}", spec="extends: base.yaml")
    monkeypatch.chdir(tmp_path)
    assert extends.load("spec.yaml").at(("a",)).place.file == "base.yaml"
    assert extends.load("./spec.yaml").at(("a",)).place.file == "./base.yaml"


def test_all_bases_are_read_before_the_mistakes_are_told(tmp_path):
    write(tmp_path, one="a: [", two="{b: 1, b: 2}", spec="extends: [one.yaml, none.yaml, two.yaml]")
    with pytest.raises(SpecError) as error:
        extends.load(str(tmp_path / "spec.yaml"))
    assert len(error.value.problems) == 3


def test_smoke_merges_but_replaces_matrix_and_seeds():
    root = parse.parse(
        "{data: {n: 9, m: 9}, seeds: 5, matrix: {a: [1], b: [2]}, smoke: {data: {n: 1}, matrix: {a: [3]}, seeds: [7]}}",
        "s",
    )
    assert plain(extends.smoked(root)) == {"data": {"n": 1, "m": 9}, "seeds": [7], "matrix": {"a": [3]}}
    bare = parse.parse("{seeds: 5}", "s")
    assert extends.smoked(bare) is bare


def test_overrides_are_yaml_with_places():
    (path, node), (_, second) = extends.overrides(["attacks.own.eps=[8/255, 1e-2]", "name=x=y"])
    assert path == "attacks.own.eps"
    assert plain(node) == [pytest.approx(8 / 255), 0.01]
    assert str(node.items[1].place) == "--set:1:25"
    assert plain(second) == "x=y"


@pytest.mark.parametrize("assignment", ["width", "=3", "width=", "a..b=1", "width = 3", ".a=1"])
def test_what_is_no_override(assignment: str):
    with pytest.raises(SpecError, match=r"^--set:2:1: .* is not path=value"):
        extends.overrides(["width=3", assignment])


def test_all_broken_overrides_at_once():
    with pytest.raises(SpecError) as error:
        extends.overrides(["width", "a=[1", "b=8/0"])
    assert [problem.line for problem in error.value.problems] == [1, 2, 3]


def refusal(folder, name: str) -> str:
    (folder / "spec.yaml").write_text(f"extends: {name}\n")
    with pytest.raises(SpecError) as error:
        extends.load(str(folder / "spec.yaml"))
    return str(error.value)


def test_a_spec_extends_specs_alone(tmp_path):
    """What is in a file that it names shows in messages, and in CI these are public."""
    secret = tmp_path / "secret"
    secret.write_text("root:x:0:0")
    assert "is an absolute path" in refusal(tmp_path, str(secret))
    assert "is an absolute path" in refusal(tmp_path, "/etc/passwd")
    assert "is not named like a spec" in refusal(tmp_path, "secret")
    assert "is not there" in refusal(tmp_path, "../../../../../../proc/self/environ.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    assert "is not there" in refusal(tmp_path, "zero.yaml")
    (tmp_path / "link.yaml").symlink_to(secret)
    for name in ("secret", "/etc/passwd", "link.yaml"):
        assert "root:" not in refusal(tmp_path, name)


def test_files_that_extend_each_other_twice_are_read_once(tmp_path, monkeypatch):
    """Each of 30 extends the next one twice: a billion ways."""
    for i in range(30):
        write(tmp_path, **{f"s{i}": f"extends: [s{i + 1}.yaml, s{i + 1}.yaml]\nk{i}: 1"})
    write(tmp_path, s30="{a: 1}")
    read = []
    monkeypatch.setattr(parse, "read", lambda file, read_file=parse.read: read.append(file) or read_file(file))
    assert extends.load(str(tmp_path / "s0.yaml")).at(("a",)).value == 1
    assert len(read) == 31
    write(tmp_path, s30="{a: [}")
    with pytest.raises(SpecError) as error:
        extends.load(str(tmp_path / "s0.yaml"))
    assert len(error.value.problems) == 1


def test_files_are_few_and_together_not_larger_than_one(tmp_path):
    for i in range(60):
        write(tmp_path, **{f"s{i}": f"a{i}: [{'1, ' * 1000}]"})
    write(tmp_path, many="extends: [" + ", ".join(f"s{i}.yaml" for i in range(60)) + "]")
    with pytest.raises(SpecError, match="more than 50 files"):
        extends.load(str(tmp_path / "many.yaml"))
    write(tmp_path, large="extends: [" + ", ".join(f"s{i}.yaml" for i in range(40)) + "]")
    with pytest.raises(SpecError, match=r"more than 20000 values.* in all files together"):
        extends.load(str(tmp_path / "large.yaml"))
