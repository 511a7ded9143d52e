// The sentence and the map show one row of one head at one moment; only a new text, which
// the kernel must read, brings new weights.
const STRONGEST = 5, MAP_WIDTH = 340, MOST_LETTERS = 32;
const MONO = "var(--jp-code-font-family,monospace)", ROW = "display:flex;flex-wrap:wrap;gap:6px 20px";

// One T x T map out of (moments, heads, T, T); head -1 is the mean of all.
function mapOf(all, heads, size, moment, head) {
  const cells = size * size, begin = moment * heads * cells;
  if (head >= 0) return all.subarray(begin + head * cells, begin + (head + 1) * cells);
  const mean = new Float32Array(cells);
  for (let h = 0; h < heads; h++)
    for (let at = 0; at < cells; at++) mean[at] += all[begin + h * cells + at] / heads;
  return mean;
}

// RGBA; the square root lets faint looks be seen beside strong ones.
function colorOf(weight, palette) {
  const shade = 4 * Math.min(255, Math.round(255 * Math.sqrt(Math.max(0, weight))));
  return palette.subarray(shade, shade + 4);
}

// Where a row looks most; of equals the nearest first.
function strongest(looks) {
  return [...looks.keys()].filter((at) => looks[at] > 0).sort((a, b) => looks[b] - looks[a] || b - a).slice(0, STRONGEST);
}

function addText(parent, longest) {
  const box = element(parent, "div", `${ROW};margin-bottom:4px`);
  const input = document.createElement("input");
  input.type = "text";
  input.maxLength = longest;
  input.style.cssText = `font-family:${MONO};width:min(34em,60vw);padding:2px 4px`;
  labelled(box, "Your text", input);
  const status = element(box, "div", "align-self:center;font-weight:600");
  status.className = "gpt-status";
  status.setAttribute("role", "status");
  return { box, input, status };
}

function addLine(parent, label) {
  const line = element(parent, "div", "display:flex;flex-wrap:wrap;gap:2px;padding:4px;margin-bottom:8px;width:fit-content;"
    + `max-width:100%;box-sizing:border-box;cursor:crosshair;font-family:${MONO}`);
  line.className = "gpt-attention";
  line.tabIndex = 0;
  line.setAttribute("role", "application");
  line.setAttribute("aria-label", label);
  return line;
}

function addMap(parent) {
  const frame = element(parent, "div", `position:relative;width:min(${MAP_WIDTH}px,100%);aspect-ratio:1;cursor:crosshair;margin:0 0 1.2em 1.2em`);
  frame.className = "gpt-map";
  const canvas = element(frame, "canvas",
    "width:100%;height:100%;image-rendering:pixelated;display:block;outline:1px solid rgba(128,128,128,.6)");
  canvas.setAttribute("role", "img");
  const marker = element(frame, "div",
    "position:absolute;left:-3px;right:-3px;border:2px solid #D55E00;outline:1px solid white;box-sizing:border-box;pointer-events:none");
  const edge = `position:absolute;display:flex;justify-content:space-around;font:11px ${MONO};opacity:.8;`;
  const edges = ["right:100%;top:0;height:100%;padding-right:5px;flex-direction:column", "top:100%;left:0;width:100%;padding-top:3px"]
    .map((place) => element(frame, "div", edge + place));
  for (const letters of edges) letters.ariaHidden = "true";
  return { frame, canvas, marker, edges };
}

function drawMap(canvas, map, size, palette) {
  const image = new ImageData(size, size);
  map.forEach((weight, at) => {
    const hidden = weight === 0 && at % size > Math.floor(at / size);
    if (!hidden) image.data.set(colorOf(weight, palette), 4 * at);
  });
  canvas.width = canvas.height = size;
  canvas.getContext("2d").putImageData(image, 0, 0);
  canvas.setAttribute("aria-label", `Map of ${size} rows, who looks, by ${size} columns, at whom.`);
}

function drawLine(line, looks, row, palette) {
  [...line.children].forEach((cell, at) => {
    const hidden = looks[at] === 0 && at > row;
    const [red, green, blue] = colorOf(looks[at], palette);
    const ink = 0.3 * red + 0.6 * green + 0.1 * blue > 128 ? "black" : "white";
    const look = hidden ? "opacity:.6;border:1px dashed" : `background:rgb(${red},${green},${blue});color:${ink};border:1px solid transparent`;
    const chosen = at === row ? ";box-shadow:0 0 0 2px #D55E00, 0 0 0 3px white" : "";
    cell.style.cssText = `min-width:1.1em;text-align:center;line-height:1.5;${look}${chosen}`;
  });
}

function drawList(list, characters, looks, row) {
  list.replaceChildren();
  for (const at of strongest(looks)) {
    const entry = element(list, "div", "display:flex;gap:8px;align-items:center");
    element(entry, "code", "width:1.5em;text-align:center", characters[at]);
    element(entry, "span", "width:5em", distance(row, at));
    element(entry, "div", `height:12px;background:#0072B2;width:${120 * looks[at]}px`);
    element(entry, "span", "", percent(looks[at]));
  }
}

function render({ model, el }) {
  const palette = new Uint8Array(bytesOf(model.get("palette")));
  let characters, moments, heads, size, weights, map;
  let row = 0, head = 0;

  const keys = "left and right choose who looks" + (model.get("moments").length > 1 ? ", up and down the moment" : "");
  element(el, "div", "font-weight:600", model.get("title"));
  element(el, "div", "opacity:.8;margin-bottom:6px",
    `Point at a character, or click and use the arrow keys: ${keys}. Bright is strong; dashed is the future, not looked at.`);
  const { box: text_box, input, status } = addText(el, model.get("longest"));
  const choices = element(el, "div", `${ROW};margin-bottom:8px`);
  const slider = document.createElement("input");
  slider.type = "range";
  slider.min = slider.step = 1;
  const moments_box = labelled(choices, "Moment", slider);
  const moment_name = element(moments_box, "output", "min-width:6em");
  const select = document.createElement("select");
  const heads_box = labelled(choices, "Head", select);
  const line = addLine(el, `${model.get("title")}. Arrow keys: ${keys}; the text below reads where it looks.`);
  const body = element(el, "div", "display:flex;gap:24px;flex-wrap:wrap;align-items:flex-start;padding:3px");
  const { frame, canvas, marker, edges } = addMap(body);
  const side = element(body, "div", "min-width:240px;font-variant-numeric:tabular-nums");
  const sentence = element(side, "div", "margin-bottom:8px;max-width:26em");
  sentence.className = "gpt-sentence";
  const list = element(side, "div", "");

  function read() {
    characters = model.get("characters");
    moments = model.get("moments");
    heads = model.get("heads");
    size = characters.length;
    weights = new Float32Array(bytesOf(model.get("weights")));
    row = size - 1;
    head = Math.min(head, heads - 1);
    const driven = model.get("driven");
    text_box.style.display = driven ? "none" : "flex";
    slider.max = moments.length;
    moments_box.style.display = moments.length > 1 && !driven ? "flex" : "none";
    heads_box.style.display = heads > 1 ? "flex" : "none";
    select.replaceChildren();
    for (let h = 0; h < heads; h++) select.append(new Option(`head ${h + 1}`, h));
    select.append(new Option("mean of heads", -1));
    select.value = head;
    line.replaceChildren();
    characters.forEach((character, at) => { element(line, "span", "", character).dataset.at = at; });
    for (const letters of edges) {
      letters.replaceChildren();
      if (size <= MOST_LETTERS) characters.forEach((character) => element(letters, "span", "line-height:1", character));
    }
    showMoment();
  }

  function showMoment() {
    const moment = model.get("moment");
    map = mapOf(weights, heads, size, moment, head);
    slider.value = moment + 1;
    slider.setAttribute("aria-valuetext", moments[moment]);
    moment_name.textContent = moments[moment];
    drawMap(canvas, map, size, palette);
    showRow();
  }

  function showRow() {
    const looks = map.slice(row * size, row * size + size);
    drawLine(line, looks, row, palette);
    drawList(list, characters, looks, row);
    marker.style.top = `calc(${(100 * row) / size}% - 2px)`;
    marker.style.height = `calc(${100 / size}% + 4px)`;
    const told = strongest(looks).slice(0, 3).map((at) => `“${characters[at]}” (${distance(row, at)}) ${percent(looks[at])}`);
    const who = [`character ${row + 1}`];
    if (moments.length > 1) who.push(moments[model.get("moment")]);
    if (heads > 1) who.push(head < 0 ? "mean of heads" : `head ${head + 1}`);
    // Only who works here is told; the view that drives this one speaks for itself.
    sentence.ariaLive = el.matches(":focus-within") ? "polite" : "off";
    sentence.textContent = `“${characters[row]}” (${who.join(", ")}) looks at ${told.join(", ")}`;
  }

  function choose(next) {
    if (next === row) return;
    row = next;
    showRow();
  }
  function chooseMoment(next) {
    model.set("moment", Math.max(0, Math.min(moments.length - 1, next)));
    model.save_changes();
  }
  function pointAtMap(event) {
    const box = frame.getBoundingClientRect();
    choose(Math.max(0, Math.min(size - 1, Math.floor(((event.clientY - box.top) / box.height) * size))));
  }
  function pointAtLine(event) {
    const cell = event.target.closest("[data-at]");
    if (cell) choose(Number(cell.dataset.at));
  }
  function move(event) {
    const step = arrowStep(event);
    if (!step) return;
    choose((row + step[1] + size) % size);
    chooseMoment(model.get("moment") - step[0]);
  }
  // An input has one line: a newline is typed and shown by its sign.
  function showText() { input.value = model.get("text").replaceAll("\n", "↵"); }
  function ask() {
    model.set("text", input.value.replaceAll("↵", "\n"));
    model.save_changes();
  }
  function askOnEnter(event) {
    if (event.key !== "Enter" || event.shiftKey) return;
    event.stopPropagation();
    ask();
  }
  function showStatus() { status.textContent = model.get("status"); }

  input.addEventListener("change", ask);
  input.addEventListener("keydown", askOnEnter);
  slider.addEventListener("input", () => chooseMoment(Number(slider.value) - 1));
  select.addEventListener("change", () => { head = Number(select.value); showMoment(); });
  line.addEventListener("mouseover", pointAtLine);
  line.addEventListener("click", (event) => { line.focus(); pointAtLine(event); });
  line.addEventListener("keydown", move);
  frame.addEventListener("mousemove", pointAtMap);
  const watched = { weights: read, characters: read, moment: showMoment, text: showText, status: showStatus };
  for (const [trait, react] of Object.entries(watched)) model.on(`change:${trait}`, react);
  showText();
  showStatus();
  read();
  return () => {
    for (const [trait, react] of Object.entries(watched)) model.off(`change:${trait}`, react);
  };
}

export default { render };
