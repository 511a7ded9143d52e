// Tokens as boxes, in two looks by turns, so that each cut can be seen. A new line ends a line.
function addPieces(parent, labels) {
  return labels.map((label, at) => {
    const piece = element(parent, "span", `gpt-piece gpt-piece-${at % 2}`, label);
    if (label.endsWith("↵")) element(parent, "br");
    return piece;
  });
}
