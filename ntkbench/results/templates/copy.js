// A button for each text that is there to be copied.
for (const text of document.querySelectorAll("[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy: ${text.getAttribute("aria-label")}`);
  const status = document.createElement("span");
  status.className = "copied";
  status.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch {
      getSelection().selectAllChildren(text); // a browser that forbids it from disk: the selection is there to copy
      document.execCommand("copy");
    }
    status.textContent = "Copied";
    setTimeout(() => (status.textContent = ""), 2000);
  });
  const frame = document.createElement("div");
  frame.className = "copying";
  text.replaceWith(frame);
  frame.append(text, button, status);
}
