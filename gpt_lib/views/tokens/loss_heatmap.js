// Writes every block of text once, then only moves a frame and rewrites the panel beside it.
const TOP_TOKENS = 5;

// Spaces are spaces; a newline is shown by its sign and does what it says.
function textOf(label) {
  return label.replaceAll("␣", " ").replaceAll("↵", "↵\n");
}

function addBlock(parent, model, index) {
  const labels = model.get("labels"), shades = model.get("shades"), box = element(parent, "div");
  const heading = element(box, "div", "gpt-block-heading");
  element(heading, "b", "", model.get("names")[index]);
  element(heading, "span", "", model.get("means")[index]);
  const text = element(box, "div", "gpt-block-text gpt-shaded");
  labels.forEach((label, at) => {
    const cell = element(text, "span", `gpt-shade-${shades[index * labels.length + at]}`, textOf(label));
    cell.dataset.at = at;
    cell.dataset.reader = index;
  });
  return { box, heading, text };
}

function render({ model, el }) {
  const names = model.get("names"), labels = model.get("labels"), title = model.get("title");
  const losses = floatsOf(model.get("losses")), top_probabilities = floatsOf(model.get("top_probabilities"));
  const top_labels = model.get("top_labels"), size = labels.length;
  let position = Math.min(1, size - 1), reader = 0;

  addHeader(el, title, "The darker a token, the less the model expected it. Point at one, or click and use the"
    + " arrow keys: left and right for the token, up and down for the model.");
  addLegend(el, "loss", model.get("legend"));
  const body = element(el, "div", "gpt-heatmap-columns");
  const frame = addFocusFrame(body, "gpt-loss-heatmap",
    `${title}. Arrow keys choose a token and a model, the text beside it reads the loss.`);
  const side = element(body, "div", "gpt-side"), sentence = addSentence(side);
  const blocks = names.map((_, index) => addBlock(frame, model, index));
  const panels = names.map(() => element(side, "div", "gpt-panel"));

  function drawPanel(panel, index) {
    const loss = losses[index * size + position];
    panel.replaceChildren();
    const heading = element(panel, "div", "gpt-panel-heading");
    element(heading, "b", "", names[index]);
    element(heading, "span", "", Number.isNaN(loss) ? "no past" : `${loss.toFixed(2)} nats · ${percent(Math.exp(-loss))}`);
    const row = element(panel, "div", "gpt-top-tokens");
    for (let rank = 0; rank < TOP_TOKENS; rank++) {
      const at = (index * size + position) * TOP_TOKENS + rank;
      if (!top_labels[at]) continue;
      const box = element(row, "div", top_labels[at] === labels[position] ? "gpt-hit" : "");
      element(box, "code", "", top_labels[at]);
      element(box, "span", "", ` ${Math.round(100 * top_probabilities[at])}%`);
      element(element(box, "div", "gpt-rail"), "div", "gpt-rail-bar").style.width = `${100 * top_probabilities[at]}%`;
    }
  }

  function describe() {
    const loss = losses[reader * size + position];
    const subject = `“${labels[position]}”, token ${position + 1} of ${size}, ${names[reader]}: `;
    if (Number.isNaN(loss)) return `${subject}no past to read.`;
    return `${subject}loss ${loss.toFixed(3)} nats, probability ${percent(Math.exp(-loss))}.`;
  }

  let framed = [];
  function update() {
    for (const cell of framed) cell.classList.remove("gpt-chosen");
    framed = blocks.map(({ text }) => text.children[position]);
    for (const cell of framed) cell.classList.add("gpt-chosen");
    panels.forEach((panel, index) => {
      if (!panel.hidden) drawPanel(panel, index);
      panel.classList.toggle("gpt-chosen-panel", index === reader);
    });
    blocks.forEach(({ heading }, index) => heading.classList.toggle("gpt-chosen-heading", index === reader));
    // Only who works on this page is told; the view that it is linked to speaks for itself.
    sentence.ariaLive = el.matches(":focus-within") ? "polite" : "off";
    sentence.textContent = describe();
    follow();
  }

  // All models, or the one that another view has chosen.
  function showFrame() {
    const chosen = model.get("frame");
    if (chosen >= 0) reader = chosen;
    names.forEach((_, index) => {
      blocks[index].box.hidden = panels[index].hidden = chosen >= 0 && index !== chosen;
    });
    update();
  }

  // The panels stay beside the block in use, because seven blocks are taller than a screen.
  function follow() {
    side.style.marginTop = "0px";
    if (model.get("frame") >= 0) return;  // a single block is always in sight
    const highest = frame.offsetHeight - side.offsetHeight;
    side.style.marginTop = `${clamp(blocks[reader].heading.offsetTop - frame.offsetTop, 0, Math.max(0, highest))}px`;
  }

  function point(event) {
    const cell = event.target.closest("[data-at]");
    if (!cell || (Number(cell.dataset.at) === position && Number(cell.dataset.reader) === reader)) return;
    position = Number(cell.dataset.at);
    reader = Number(cell.dataset.reader);
    update();
  }
  function move(event) {
    const step = arrowStep(event);
    if (!step) return;
    position = (position + step[1] + size) % size;
    if (model.get("frame") < 0) reader = (reader + step[0] + names.length) % names.length;
    else save(model, "frame", clamp(reader - step[0], 0, names.length - 1));  // up is later
    update();
    if (step[0]) blocks[reader].box.scrollIntoView({ block: "nearest" });
  }
  frame.addEventListener("mouseover", point);
  frame.addEventListener("click", (event) => { frame.focus({ preventScroll: true }); point(event); });
  frame.addEventListener("keydown", move);
  const resized = new ResizeObserver(follow);
  resized.observe(frame);
  showFrame();
  const unlisten = listen(model, { frame: showFrame });
  return () => {
    resized.disconnect();
    unlisten();
  };
}

export default { render };
