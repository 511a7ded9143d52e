// The sentence and the map show one row of one head in one frame; only a new text, for which
// the kernel must compute, brings new weights.
const LISTED = 5, TOLD = 3, MOST_EDGE_LABELS = 32, BAR_WIDTH = 120;

// One T x T map of (frames, heads, T, T); head -1 is the mean of all.
function mapOf(weights, heads, size, frame, head) {
  const cells = size * size, begin = frame * heads * cells;
  if (head >= 0) return weights.subarray(begin + head * cells, begin + (head + 1) * cells);
  const mean = new Float32Array(cells);
  for (let h = 0; h < heads; h++)
    for (let at = 0; at < cells; at++) mean[at] += weights[begin + h * cells + at] / heads;
  return mean;
}

function addMap(parent) {
  const frame = element(parent, "div", "gpt-attention-map"), canvas = element(frame, "canvas");
  canvas.setAttribute("role", "img");
  const marker = element(frame, "div", "gpt-marker");
  const edges = ["gpt-left-edge", "gpt-bottom-edge"].map((side) => element(frame, "div", `gpt-edge ${side}`));
  for (const edge of edges) edge.ariaHidden = "true";
  return { frame, canvas, marker, edges };
}

function drawMap(canvas, map, size) {
  const image = new ImageData(size, size);
  map.forEach((weight, at) => {
    const masked = weight === 0 && at % size > Math.floor(at / size);
    if (!masked) image.data.set([...colorOf(weight), 255], 4 * at);
  });
  canvas.width = canvas.height = size;
  canvas.getContext("2d").putImageData(image, 0, 0);
  canvas.setAttribute("aria-label", `Map of ${size} rows, who looks, by ${size} columns, at whom.`);
}

function colorTokenLine(line, weights, row) {
  markTokenLine(line, weights, row);
  [...line.children].forEach((cell, at) => {
    const [red, green, blue] = colorOf(weights[at]), masked = cell.classList.contains("gpt-masked");
    cell.style.background = masked ? "" : `rgb(${red},${green},${blue})`;
    cell.style.color = masked ? "" : 0.3 * red + 0.6 * green + 0.1 * blue > 128 ? "black" : "white";
  });
}

function drawList(list, labels, weights, row, strongest) {
  list.replaceChildren();
  for (const at of strongest.slice(0, LISTED)) {
    const entry = element(list, "div", "gpt-bar-row");
    element(entry, "code", "", labels[at]);
    element(entry, "span", "gpt-distance", describeDistance(row, at));
    element(entry, "div", "gpt-bar").style.width = `${BAR_WIDTH * weights[at]}px`;
    element(entry, "span", "", percent(weights[at]));
  }
}

function render({ model, el }) {
  let labels, frames, heads, size, weights, map;
  let row = 0, head = 0;

  const keys = "left and right choose who looks" + (model.get("frames").length > 1 ? ", up and down the moment" : "");
  const title = model.get("title");
  addHeader(el, title,
    `Point at a token, or click and use the arrow keys: ${keys}. Bright is strong; dashed is the future, not looked at.`);
  const field = addTextField(el, model);
  const choices = element(el, "div", "gpt-row gpt-choices");
  const slider = document.createElement("input"), menu = document.createElement("select");
  slider.type = "range";
  slider.min = slider.step = 1;
  const frame_box = addLabelled(choices, "Moment", slider), frame_name = element(frame_box, "output", "gpt-frame-name");
  const head_box = addLabelled(choices, "Head", menu);
  const line = addTokenLine(el, `${title}. Arrow keys: ${keys}; the text below reads where it looks.`, choose);
  const body = element(el, "div", "gpt-columns");
  const { frame: square, canvas, marker, edges } = addMap(body);
  const side = element(body, "div", "gpt-side");
  const sentence = addSentence(side), list = element(side, "div");

  function readText() {
    labels = model.get("labels");
    frames = model.get("frames");
    heads = model.get("heads");
    size = labels.length;
    weights = floatsOf(model.get("weights"));
    row = size - 1;
    head = Math.min(head, heads - 1);
    field.row.hidden = model.get("linked");
    slider.max = frames.length;
    frame_box.hidden = frames.length < 2 || model.get("linked");
    head_box.hidden = heads < 2;
    fillMenu(menu, [...Array(heads).keys()].map((index) => `head ${index + 1}`));
    menu.append(new Option("mean of heads", -1));
    menu.value = head;
    fillTokenLine(line, labels);
    for (const edge of edges) {
      edge.replaceChildren();
      if (size <= MOST_EDGE_LABELS) labels.forEach((label) => element(edge, "span", "", label));
    }
    showFrame();
  }

  function showFrame() {
    const frame = model.get("frame");
    map = mapOf(weights, heads, size, frame, head);
    slider.value = frame + 1;
    slider.setAttribute("aria-valuetext", frames[frame]);
    frame_name.textContent = frames[frame];
    drawMap(canvas, map, size);
    showRow();
  }

  function showRow() {
    const row_weights = map.subarray(row * size, row * size + size);
    const strongest = byWeight(row_weights, row).filter((at) => row_weights[at] > 0);
    colorTokenLine(line, row_weights, row);
    drawList(list, labels, row_weights, row, strongest);
    marker.style.top = `calc(${(100 * row) / size}% - 2px)`;
    marker.style.height = `calc(${100 / size}% + 4px)`;
    // Only who works on this page is told; the view that it is linked to speaks for itself.
    sentence.ariaLive = el.matches(":focus-within") ? "polite" : "off";
    sentence.textContent = describeRow(row_weights, strongest);
  }

  function describeRow(row_weights, strongest) {
    const details = [`token ${row + 1}`];
    if (frames.length > 1) details.push(frames[model.get("frame")]);
    if (heads > 1) details.push(head < 0 ? "mean of heads" : `head ${head + 1}`);
    const targets = strongest.slice(0, TOLD)
      .map((at) => `“${labels[at]}” (${describeDistance(row, at)}) ${percent(row_weights[at])}`);
    return `“${labels[row]}” (${details.join(", ")}) looks at ${targets.join(", ")}`;
  }

  function choose(next) {
    if (next === row) return;
    row = next;
    showRow();
  }
  function chooseFrame(next) { save(model, "frame", clamp(next, 0, frames.length - 1)); }
  function pointAtMap(event) {
    const box = square.getBoundingClientRect();
    choose(clamp(Math.floor(((event.clientY - box.top) / box.height) * size), 0, size - 1));
  }
  function pointAtLine(event) {
    const cell = event.target.closest("[data-at]");
    if (cell) choose(Number(cell.dataset.at));
  }
  function move(event) {
    const step = arrowStep(event);
    if (!step) return;
    choose((row + step[1] + size) % size);
    chooseFrame(model.get("frame") - step[0]);  // up is later
  }

  slider.addEventListener("input", () => chooseFrame(Number(slider.value) - 1));
  menu.addEventListener("change", () => { head = Number(menu.value); showFrame(); });
  line.addEventListener("mouseover", pointAtLine);
  line.addEventListener("keydown", move);
  square.addEventListener("mousemove", pointAtMap);
  readText();
  return listen(model, { weights: readText, labels: readText, frame: showFrame, ...field.handlers });
}

export default { render };
