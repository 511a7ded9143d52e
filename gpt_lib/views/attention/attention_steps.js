// A table: one row for each place that is looked at, one column for each step so far.
// Only a new text, which the kernel must read, brings new values.
const INK = "var(--jp-ui-font-color1,#000)", BAR = "#0072B2", CHOSEN = "#D55E00";
const HATCH = "repeating-linear-gradient(45deg,rgba(128,128,128,.55) 0 2px,transparent 2px 7px)";

// The places to show, in order: `row`, the first after it, then the strongest.
function strongest(weights, row, most) {
  const edge = [row, row + 1].filter((place) => place < weights.length);
  const others = [...weights.keys()]
    .filter((place) => !edge.includes(place) && (place < row || weights[place] > 0))
    .sort((a, b) => weights[b] - weights[a] || Math.abs(row - a) - Math.abs(row - b));
  return [...edge, ...others.slice(0, most - edge.length)].sort((a, b) => a - b);
}

function inWords(value, isWeight) {
  if (isWeight) return value > 0 && value < 0.0005 ? "<0.1 %" : `${(100 * value).toFixed(1)} %`;
  if (value === -Infinity) return "−∞";
  return value.toFixed(2).replace("-", "−");
}

function render({ model, el }) {
  let characters, size, layers, steps, heads, values, is_score, columns;

  const keys = "left and right choose who looks, up and down the step";
  element(el, "div", "font-weight:600", model.get("title"));
  element(el, "div", "opacity:.8;margin-bottom:6px",
    `Click a character and a step, or click the text and use the arrow keys: ${keys}.`);
  const controls = element(el, "div", "display:flex;flex-wrap:wrap;gap:6px 20px;margin-bottom:6px");
  const input = document.createElement("input");
  input.type = "text";
  input.maxLength = model.get("longest");
  input.style.cssText = "font-family:var(--jp-code-font-family,monospace);width:min(34em,60vw);padding:2px 4px";
  labelled(controls, "Your text", input);
  const layer_select = document.createElement("select"), head_select = document.createElement("select");
  const layer_box = labelled(controls, "Layer", layer_select);
  const head_box = labelled(controls, "Head", head_select);
  const status = element(controls, "div", "align-self:center;font-weight:600");
  status.className = "gpt-status";
  status.setAttribute("role", "status");

  const line = element(el, "div", "display:flex;flex-wrap:wrap;gap:2px;padding:4px;margin-bottom:8px;width:fit-content;"
    + "max-width:100%;box-sizing:border-box;cursor:pointer;font-family:var(--jp-code-font-family,monospace)");
  line.className = "gpt-steps";
  line.tabIndex = 0;
  line.setAttribute("role", "application");
  const sentence = element(el, "div", "margin-bottom:8px;min-height:2.8em;font-variant-numeric:tabular-nums");
  sentence.className = "gpt-sentence";
  sentence.setAttribute("aria-live", "polite");
  const frame = element(el, "div", "overflow-x:auto;max-width:100%");
  const table = element(frame, "table", "border-collapse:collapse;table-layout:fixed;margin:0;font-size:13px;font-variant-numeric:tabular-nums");
  table.setAttribute("aria-label", "The scores of the places looked at, step by step");
  const header = element(element(table, "thead", ""), "tr", "background:none"), body = element(table, "tbody", "");
  const rest = element(el, "div", "opacity:.8;margin-top:4px");

  // One bound for what was chosen before a new text had fewer of it.
  function chosen(name, count) { return Math.max(0, Math.min(count - 1, model.get(name))); }
  function choose(name, value) {
    model.set(name, value);
    model.save_changes();
  }

  function rowOf(step, layer, head, row) {
    const begin = (((layer * steps.length + step) * heads + head) * size + row) * size;
    return values.subarray(begin, begin + size);
  }

  function fill(select, box, names, prefix) {
    box.style.display = names.length > 1 ? "flex" : "none";
    select.replaceChildren(...names.map((name, at) => new Option(prefix + name, at)));
  }

  function read() {
    characters = model.get("characters");
    layers = model.get("layers");
    steps = model.get("steps");
    heads = model.get("heads");
    size = characters.length;
    values = new Float32Array(bytesOf(model.get("values")));
    const block = heads * size * size;
    is_score = steps.map(() => false);
    values.forEach((value, at) => {
      if (value < 0 && value > -Infinity) is_score[Math.floor(at / block) % steps.length] = true;
    });
    fill(layer_select, layer_box, layers, "");
    fill(head_select, head_box, [...Array(heads).keys()].map((head) => head + 1), "head ");
    line.replaceChildren();
    characters.forEach((character, at) => {
      element(line, "span", "", character).dataset.at = at;
    });
    drawHeader();
    update();
  }

  function drawHeader() {
    header.replaceChildren();
    const corner = element(header, "th", "width:7.5em;text-align:left;font-weight:400;padding:2px 6px", "looks at");
    corner.scope = "col";
    table.style.width = `min(100%, ${110 + 220 * steps.length}px)`;
    table.style.minWidth = `${100 + 104 * steps.length}px`;
    steps.forEach((step, at) => {
      const cell = element(header, "th", "padding:2px 6px;vertical-align:bottom");
      cell.scope = "col";
      const button = element(cell, "button", "", `${at + 1} · ${step}`);
      button.dataset.step = at;
    });
  }

  // All scores share one scale, so that a division shrinks their bars; a step between
  // that is never negative, such as exp, has its own; weights go from 0 to 1.
  function limitsOf(places) {
    const finite = columns.map((column) => places.map((place) => column[place]).filter(Number.isFinite));
    const shared = [0, ...finite.filter((_, at) => is_score[at]).flat()];
    const limits = finite.map((numbers, at) => is_score[at]
      ? [Math.min(...shared), Math.max(...shared)] : [0, Math.max(0, ...numbers) || 1]);
    return [...limits.slice(0, -1), [0, 1]];
  }

  function drawCell(parent, value, [low, high], wide, isWeight, isFuture) {
    const cell = element(parent, "td", "padding:1px 6px");
    const box = element(cell, "div", "display:flex;align-items:center;gap:6px");
    const rail = element(box, "div", "position:relative;height:14px;flex:1 1 0;min-width:0");
    const masked = value === -Infinity, begin = masked ? low : Math.min(0, value), end = masked ? high : Math.max(0, value);
    const percent = (number) => (100 * number) / (high - low);
    element(rail, "div", `position:absolute;top:0;bottom:0;left:${percent(begin - low)}%;width:${percent(end - begin)}%;`
      + (masked ? `background:${HATCH};outline:1px dashed rgba(128,128,128,.8);outline-offset:-1px` : `background:${BAR}`));
    if (!masked) element(rail, "div", `position:absolute;top:-3px;bottom:-3px;left:${percent(-low)}%;border-left:1px solid rgba(128,128,128,.8)`);
    const words = inWords(value, isWeight) + (masked ? (isFuture ? " (future)" : " (masked)") : "");
    element(box, "span", `flex:none;min-width:${wide}ch;text-align:right;white-space:nowrap`, words);
  }

  function drawTable(row, step, places) {
    const limits = limitsOf(places), last = steps.length - 1;
    // As wide as the longest number: then all bars of a column have the same room.
    const widths = columns.map((column, at) => Math.max(5, ...places.map((place) => inWords(column[place], at === last).length)) + 0.5);
    body.replaceChildren();
    for (const place of places) {
      const entry = element(body, "tr", "background:none");
      const name = element(entry, "th", "text-align:left;font-weight:400;padding:1px 6px;white-space:nowrap");
      name.scope = "row";
      element(name, "code", `display:inline-block;width:1.6em;text-align:center;background:none;color:${INK}`, characters[place]);
      element(name, "span", "", ` ${distance(row, place)}`);
      columns.forEach((column, at) => {
        if (at <= step) drawCell(entry, column[place], limits[at], widths[at], at === last, place > row);
        else element(entry, "td", "");
      });
    }
    const weights = columns.at(-1), hidden = [...weights.keys()].filter((place) => !places.includes(place));
    const future = hidden.filter((place) => place > row && weights[place] === 0).length, weaker = hidden.length - future;
    const share = hidden.reduce((sum, place) => sum + weights[place], 0);
    rest.textContent = [
      weaker && `${weaker} weaker ${weaker > 1 ? "places are" : "place is"} not shown (together ${inWords(share, true)})`,
      future && `${future} more in the future ${future > 1 ? "are" : "is"} not shown`,
    ].filter(Boolean).join("; ");
  }

  function words(layer, head, row, step) {
    const weights = columns.at(-1);
    const to = [...weights.keys()].sort((a, b) => weights[b] - weights[a] || Math.abs(row - a) - Math.abs(row - b))[0];
    const told = columns.slice(0, step + 1).map((column, at) => {
      const hidden = column.filter((value) => value === -Infinity).length;
      const isFirst = hidden && !(at && columns[at - 1].includes(-Infinity));
      return `${steps[at]} ${inWords(column[to], at === steps.length - 1)}` + (isFirst ? ` (−∞ for ${hidden} other${hidden > 1 ? "s" : ""})` : "");
    });
    const where = [`character ${row + 1}`];
    if (layers.length > 1) where.push(layers[layer]);
    if (heads > 1) where.push(`head ${head + 1}`);
    return `“${characters[row]}” (${where.join(", ")}) looks at “${characters[to]}” (${distance(row, to)}): ${told.join(", ")}`;
  }

  function paintLine(row) {
    const weights = columns.at(-1);
    [...line.children].forEach((cell, at) => {
      const hidden = at > row && weights[at] === 0;
      cell.style.cssText = `min-width:1.1em;text-align:center;line-height:1.5;border:1px ${hidden ? "dashed;opacity:.6" : "solid transparent"}`
        + (at === row ? `;box-shadow:0 0 0 2px ${CHOSEN}, 0 0 0 3px white;font-weight:700` : "");
    });
  }

  function update() {
    const layer = chosen("layer", layers.length), head = chosen("head", heads);
    const row = chosen("row", size), step = chosen("step", steps.length);
    columns = steps.map((_, at) => Array.from(rowOf(at, layer, head, row)));
    layer_select.value = layer;
    head_select.value = head;
    paintLine(row);
    for (const button of header.querySelectorAll("button")) {
      const at = Number(button.dataset.step);
      button.setAttribute("aria-pressed", at === step);
      button.style.cssText = "width:100%;text-align:left;padding:3px 6px;border-radius:4px;cursor:pointer;font:inherit;line-height:1.25;"
        + `color:${INK};background:var(--jp-layout-color2,#eee);border:2px ${at > step ? "dashed rgba(128,128,128,.6)" : "solid"};`
        + (at === step ? `border-color:${CHOSEN};font-weight:700` : at < step ? "border-color:transparent" : "");
    }
    drawTable(row, step, strongest(columns.at(-1), row, model.get("most")));
    line.setAttribute("aria-label",
      `${model.get("title")}. “${characters[row]}” looks; step ${step + 1}, ${steps[step]}. Arrow keys: ${keys}; the text below reads the numbers.`);
    sentence.textContent = words(layer, head, row, step);
  }

  function move(event) {
    const arrow = arrowStep(event);
    if (!arrow) return;
    if (arrow[1]) choose("row", (chosen("row", size) + arrow[1] + size) % size);
    else choose("step", Math.max(0, Math.min(steps.length - 1, chosen("step", steps.length) - arrow[0])));
  }
  // An input has one line: a newline is typed and shown by its sign.
  function showText() { input.value = model.get("text").replaceAll("\n", "↵"); }
  function ask() { choose("text", input.value.replaceAll("↵", "\n")); }
  function showStatus() { status.textContent = model.get("status"); }

  input.addEventListener("change", ask);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) {
      event.stopPropagation();
      ask();
    }
  });
  for (const [name, select] of [["layer", layer_select], ["head", head_select]])
    select.addEventListener("change", () => choose(name, Number(select.value)));
  line.addEventListener("click", (event) => {
    line.focus();
    const cell = event.target.closest("[data-at]");
    if (cell) choose("row", Number(cell.dataset.at));
  });
  header.addEventListener("click", (event) => {
    const button = event.target.closest("[data-step]");
    if (button) choose("step", Number(button.dataset.step));
  });
  line.addEventListener("keydown", move);
  header.addEventListener("keydown", (event) => {
    move(event);
    if (event.key === "Enter" && !event.shiftKey) event.stopPropagation();  // else Lab edits the cell
  });

  const handlers = { values: read, characters: read, status: showStatus, text: showText };
  for (const name of ["layer", "head", "row", "step"]) handlers[name] = update;
  for (const [name, handler] of Object.entries(handlers)) model.on(`change:${name}`, handler);
  showText();
  showStatus();
  read();
  return () => {
    for (const [name, handler] of Object.entries(handlers)) model.off(`change:${name}`, handler);
  };
}

export default { render };
