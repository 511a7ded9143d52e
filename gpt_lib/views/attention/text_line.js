// What the attention map and the attention steps share: the tokens of a text in a line, one
// of which attends.

// `choose` is called with the position of a token that is clicked.
function addTokenLine(parent, label, choose) {
  const line = addFocusFrame(parent, "gpt-attention-line", label);
  line.addEventListener("click", (event) => {
    line.focus();
    const cell = event.target.closest("[data-at]");
    if (cell) choose(Number(cell.dataset.at));
  });
  return line;
}

function fillTokenLine(line, labels) {
  line.replaceChildren();
  labels.forEach((label, at) => { element(line, "span", "", label).dataset.at = at; });
}

// Marks the token that attends, and those that it cannot attend to.
function markTokenLine(line, weights, row) {
  [...line.children].forEach((cell, at) => {
    cell.classList.toggle("gpt-chosen", at === row);
    cell.classList.toggle("gpt-masked", at > row && weights[at] === 0);
  });
}

// The positions by falling weight; of equals the nearest first.
function byWeight(weights, row) {
  return [...weights.keys()].sort((a, b) => weights[b] - weights[a] || Math.abs(row - a) - Math.abs(row - b));
}

function fillMenu(select, labels) {
  select.replaceChildren(...labels.map((label, at) => new Option(label, at)));
}
