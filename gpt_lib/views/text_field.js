// A field for a text of the reader, and why it cannot be shown: the page of a TextWidget.

// Returns the row that holds the field, and the handlers of its traits.
function addTextField(parent, model) {
  const row = element(parent, "div", "gpt-row gpt-choices"), input = document.createElement("input");
  input.type = "text";
  input.className = "gpt-text-field";
  addLabelled(row, "Your text", input);
  const status = addStatus(row);
  // An input has one line: a newline is typed and shown by its sign.
  function showText() { input.value = model.get("text").replaceAll("\n", "↵"); }
  function showStatus() { status.textContent = model.get("status"); }
  function ask() { save(model, "text", input.value.replaceAll("↵", "\n")); }
  input.addEventListener("change", ask);
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey) return;
    event.stopPropagation();
    ask();
  });
  showText();
  showStatus();
  return { row, handlers: { text: showText, status: showStatus } };
}
