// What the theme's own script makes gets a name, and what scrolls can be scrolled by keyboard.
let named = 0;
function mend() {
  document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex]), .md-typeset pre > code:not([tabindex])")
    .forEach((each) => { each.tabIndex = 0; });
  document.querySelectorAll(".md-code__nav:not([aria-label])")
    .forEach((each) => { each.ariaLabel = `Code ${++named}`; });
  document.querySelectorAll(".md-search:not([aria-label])").forEach((each) => { each.ariaLabel = "Search"; });
}
new MutationObserver(mend).observe(document.body, {childList: true, subtree: true});
mend();
