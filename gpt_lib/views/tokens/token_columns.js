// One column a tokenizer; a bar behind a token is a cut that another tokenizer does not make.
function render({ model, el }) {
  addHeader(el, model.get("title"), "Each box is a token. An orange bar is a cut that not all of them make.");
  const field = addTextField(el, model);
  const body = element(el, "div", "gpt-columns");

  function draw() {
    body.replaceChildren();
    const disputed = model.get("disputed"), columns = model.get("columns");
    model.get("headings").forEach((heading, index) => {
      const column = element(body, "div", "gpt-token-column");
      column.setAttribute("role", "group");
      column.setAttribute("aria-label", `${heading}; ${disputed[index].filter(Boolean).length} cuts that not all make`);
      element(column, "div", "gpt-title", heading);
      const pieces = addPieces(element(column, "div", "gpt-pieces"), columns[index]);
      pieces.forEach((piece, at) => piece.classList.toggle("gpt-disputed", disputed[index][at]));
    });
  }
  draw();
  return listen(model, { ...field.handlers, headings: draw, columns: draw, disputed: draw });
}

export default { render };
