// What all pages share; a page's own files follow in the same module. A page draws what
// `model` holds: get, set, save_changes, on, off and send are those of anywidget.

// Python's encode_floats: float32 in base64.
function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
function floatsOf(text) {
  return new Float32Array(bytesOf(text).buffer);
}

function element(parent, tag, className = "", text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  parent.append(node);
  return node;
}

// A title, and a hint how to use the page.
function addHeader(el, title, hint = "") {
  el.classList.add("gpt-view");
  return { title: element(el, "div", "gpt-title", title), hint: element(el, "div", "gpt-hint", hint) };
}

// The sentence that tells a screen reader what a key or a click has changed.
function addSentence(parent) {
  const sentence = element(parent, "div", "gpt-sentence");
  sentence.setAttribute("aria-live", "polite");
  return sentence;
}

function addStatus(parent) {
  const status = element(parent, "div", "gpt-status");
  status.setAttribute("role", "status");
  return status;
}

// What takes the focus once and is then used by arrow keys.
function addFocusFrame(parent, className, label, role = "application") {
  const frame = element(parent, "div", className);
  frame.tabIndex = 0;
  frame.setAttribute("role", role);
  frame.setAttribute("aria-label", label);
  return frame;
}

// Text that did not change is not set: else it would be read out again.
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Roving focus: Tab stops at one of the nodes, `index`; arrow keys lead to the others.
function setTabStop(nodes, index) {
  nodes.forEach((node, at) => { node.tabIndex = at === index ? 0 : -1; });
}

// Calls a handler for each trait that changes; returns what ends it.
function listen(model, handlers) {
  for (const [name, handler] of Object.entries(handlers)) model.on(`change:${name}`, handler);
  return () => {
    for (const [name, handler] of Object.entries(handlers)) model.off(`change:${name}`, handler);
  };
}

function save(model, name, value) {
  model.set(name, value);
  model.save_changes();
}

// Tells Python's PickWidget that a reader picked something.
function pick(model, index) {
  model.send({ type: "pick", index });
}

function clamp(value, low, high) {
  return Math.max(low, Math.min(high, value));
}

// Otherwise an arrow key in a control also moves Lab to another cell, and a letter, which in
// a menu seeks a name, does what Lab has it for: b adds a cell.
function keepKeys(event) {
  const isLetter = event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey;
  if (isLetter || event.key.startsWith("Arrow")) event.stopPropagation();
}

// A key that the page uses: kept from Lab, and from scrolling.
function keepKey(event) {
  event.preventDefault();
  event.stopPropagation();
}

// An arrow key as [down, right]; other keys are null.
function arrowStep(event) {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!step) return null;
  keepKey(event);
  return step;
}

function addLabelled(parent, label, control) {
  const box = element(parent, "label", "gpt-control");
  element(box, "span", "", label);
  control.setAttribute("aria-label", label);  // a select's options would join its name
  control.addEventListener("keydown", keepKeys);
  box.append(control);
  return box;
}

function percent(fraction) {
  const value = 100 * fraction;
  return value > 0 && value < 0.1 ? "<0.1 %" : `${value.toFixed(1)} %`;
}

// 0.6, where a sum of tenths says 0.6000000000000001.
function shortest(number) {
  return String(Number(number.toPrecision(6)));
}

// How far away a position attends.
function describeDistance(from, to) {
  if (from === to) return "itself";
  return to < from ? `${from - to} back` : `${to - from} ahead`;
}
