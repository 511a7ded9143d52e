// What all pages share; each page's own file follows it in one script.
function bytesOf(view) {
  return view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
}

function element(parent, tag, style, text = "") {
  const node = document.createElement(tag);
  node.style.cssText = style;
  node.textContent = text;
  parent.append(node);
  return node;
}

// Otherwise an arrow key in a control also moves Lab to another cell, and a letter, which in
// a menu seeks a name, does what Lab has it for: b adds a cell.
function keepKeys(event) {
  const isLetter = event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey;
  if (isLetter || event.key.startsWith("Arrow")) event.stopPropagation();
}

// An arrow key as [down, right], kept from Lab and from scrolling; other keys are null.
function arrowStep(event) {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!step) return null;
  event.preventDefault();
  event.stopPropagation();
  return step;
}

function labelled(parent, label, control) {
  const box = element(parent, "label", "display:flex;gap:8px;align-items:center");
  element(box, "span", "", label);
  control.setAttribute("aria-label", label);  // a select's options would join its name
  control.addEventListener("keydown", keepKeys);
  box.append(control);
  return box;
}

function percent(share) {
  const value = 100 * share;
  return value > 0 && value < 0.1 ? "<0.1 %" : `${value.toFixed(1)} %`;
}

// 0.6, where a sum of tenths says 0.6000000000000001.
function shortest(number) {
  return String(Number(number.toPrecision(6)));
}

// How far a position looks.
function distance(from, to) {
  if (from === to) return "itself";
  return to < from ? `${from - to} back` : `${to - from} ahead`;
}
