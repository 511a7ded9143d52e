// A table: one row for each position attended to, one column for each step so far. Only a new
// text, for which the kernel must compute, brings new values.

// The positions to show, in order: `row`, the first after it, then the strongest.
function strongestPositions(weights, row, count) {
  const edge = [row, row + 1].filter((at) => at < weights.length);
  const others = byWeight(weights, row).filter((at) => !edge.includes(at) && (at < row || weights[at] > 0));
  return [...edge, ...others.slice(0, count - edge.length)].sort((a, b) => a - b);
}

function formatValue(value, isWeight) {
  if (isWeight) return value > 0 && value < 0.0005 ? "<0.1 %" : `${(100 * value).toFixed(1)} %`;
  if (value === -Infinity) return "−∞";
  return value.toFixed(2).replace("-", "−");
}

// A step holds scores where any value is negative, but for the mask's -Infinity.
function findScores(values, steps, cells) {
  const is_score = steps.map(() => false);
  values.forEach((value, at) => {
    if (value < 0 && value > -Infinity) is_score[Math.floor(at / cells) % steps.length] = true;
  });
  return is_score;
}

// All scores share one scale, so that a division shrinks their bars; a step in between that is
// never negative, such as exp, has its own; weights go from 0 to 1.
function axisLimits(columns, positions, is_score) {
  const finite = columns.map((column) => positions.map((at) => column[at]).filter(Number.isFinite));
  const shared = [0, ...finite.filter((_, step) => is_score[step]).flat()];
  const limits = finite.map((numbers, step) => is_score[step]
    ? [Math.min(...shared), Math.max(...shared)] : [0, Math.max(0, ...numbers) || 1]);
  return [...limits.slice(0, -1), [0, 1]];
}

function drawCell(parent, value, text, [low, high], width) {
  const cell = element(element(parent, "td"), "div", "gpt-cell"), rail = element(cell, "div", "gpt-cell-rail");
  const masked = value === -Infinity, begin = masked ? low : Math.min(0, value), end = masked ? high : Math.max(0, value);
  const fraction = (number) => `${(100 * number) / (high - low)}%`;
  const bar = element(rail, "div", masked ? "gpt-cell-bar gpt-masked-bar" : "gpt-cell-bar");
  bar.style.left = fraction(begin - low);
  bar.style.width = fraction(end - begin);
  if (!masked) element(rail, "div", "gpt-zero").style.left = fraction(-low);
  element(cell, "span", "gpt-cell-text", text).style.minWidth = `${width}ch`;
}

function render({ model, el }) {
  let labels, size, layers, steps, heads, values, is_score, columns;

  const keys = "left and right choose who looks, up and down the step", title = model.get("title");
  addHeader(el, title, `Click a token and a step, or click the text and use the arrow keys: ${keys}.`);
  const field = addTextField(el, model);
  const layer_menu = document.createElement("select"), head_menu = document.createElement("select");
  const layer_box = addLabelled(field.row, "Layer", layer_menu), head_box = addLabelled(field.row, "Head", head_menu);
  field.row.append(field.row.querySelector(".gpt-status"));  // after the menus
  const line = addTokenLine(el, title, (at) => save(model, "row", at));
  const sentence = addSentence(el);
  sentence.classList.add("gpt-steps-sentence");
  const table = element(element(el, "div", "gpt-steps-frame"), "table", "gpt-steps-table");
  table.setAttribute("aria-label", "The scores of the positions looked at, step by step");
  const header = element(element(table, "thead"), "tr"), body = element(table, "tbody");
  const rest = element(el, "div", "gpt-rest");

  // One bound for what was chosen before a new text had fewer of it.
  function chosen(name, count) { return clamp(model.get(name), 0, count - 1); }

  function readText() {
    labels = model.get("labels");
    layers = model.get("layers");
    steps = model.get("steps");
    heads = model.get("heads");
    size = labels.length;
    values = floatsOf(model.get("values"));
    is_score = findScores(values, steps, heads * size * size);
    fillMenu(layer_menu, layers);
    fillMenu(head_menu, [...Array(heads).keys()].map((index) => `head ${index + 1}`));
    layer_box.hidden = layers.length < 2;
    head_box.hidden = heads < 2;
    fillTokenLine(line, labels);
    drawHeader();
    update();
  }

  function drawHeader() {
    header.replaceChildren();
    element(header, "th", "gpt-corner", "looks at").scope = "col";
    table.style.width = `min(100%, ${110 + 220 * steps.length}px)`;
    table.style.minWidth = `${100 + 104 * steps.length}px`;
    steps.forEach((step, at) => {
      const cell = element(header, "th");
      cell.scope = "col";
      element(cell, "button", "", `${at + 1} · ${step}`).dataset.step = at;
    });
  }

  // The values of a row in one step, (T,).
  function rowOf(step, layer, head, row) {
    const begin = (((layer * steps.length + step) * heads + head) * size + row) * size;
    return values.subarray(begin, begin + size);
  }

  function drawTable(row, step, positions) {
    const limits = axisLimits(columns, positions, is_score), last = steps.length - 1;
    const textOf = (value, at, position) => formatValue(value, at === last)
      + (value === -Infinity ? (position > row ? " (future)" : " (masked)") : "");
    // As wide as the longest number: then all bars of a column have the same length to fill.
    const widths = columns.map((column, at) =>
      Math.max(5, ...positions.map((position) => formatValue(column[position], at === last).length)) + 0.5);
    body.replaceChildren();
    for (const position of positions) {
      const entry = element(body, "tr"), name = element(entry, "th");
      name.scope = "row";
      element(name, "code", "", labels[position]);
      element(name, "span", "", ` ${describeDistance(row, position)}`);
      columns.forEach((column, at) => {
        const value = column[position];
        if (at <= step) drawCell(entry, value, textOf(value, at, position), limits[at], widths[at]);
        else element(entry, "td");
      });
    }
    rest.textContent = describeRest(row, positions);
  }

  // What the table leaves out.
  function describeRest(row, positions) {
    const weights = columns.at(-1), others = [...weights.keys()].filter((at) => !positions.includes(at));
    const future = others.filter((at) => at > row && weights[at] === 0).length, weaker = others.length - future;
    const sum = others.reduce((total, at) => total + weights[at], 0);
    return [
      weaker && `${weaker} weaker ${weaker > 1 ? "positions are" : "position is"} not shown (together ${formatValue(sum, true)})`,
      future && `${future} more in the future ${future > 1 ? "are" : "is"} not shown`,
    ].filter(Boolean).join("; ");
  }

  function describeRow(layer, head, row, step) {
    const to = byWeight(columns.at(-1), row)[0];
    const numbers = columns.slice(0, step + 1).map((column, at) => {
      const masked = column.filter((value) => value === -Infinity).length;
      const isFirst = masked && !(at && columns[at - 1].includes(-Infinity));
      return `${steps[at]} ${formatValue(column[to], at === steps.length - 1)}`
        + (isFirst ? ` (−∞ for ${masked} other${masked > 1 ? "s" : ""})` : "");
    });
    const details = [`token ${row + 1}`];
    if (layers.length > 1) details.push(layers[layer]);
    if (heads > 1) details.push(`head ${head + 1}`);
    return `“${labels[row]}” (${details.join(", ")}) looks at “${labels[to]}” (${describeDistance(row, to)}): ${numbers.join(", ")}`;
  }

  function update() {
    const layer = chosen("layer", layers.length), head = chosen("head", heads);
    const row = chosen("row", size), step = chosen("step", steps.length);
    columns = steps.map((_, at) => Array.from(rowOf(at, layer, head, row)));
    layer_menu.value = layer;
    head_menu.value = head;
    markTokenLine(line, columns.at(-1), row);
    for (const button of header.querySelectorAll("button")) {
      const at = Number(button.dataset.step);
      button.setAttribute("aria-pressed", at === step);
      button.className = at === step ? "gpt-chosen" : at < step ? "" : "gpt-later";
    }
    drawTable(row, step, strongestPositions(columns.at(-1), row, model.get("max_positions")));
    line.setAttribute("aria-label",
      `${title}. “${labels[row]}” looks; step ${step + 1}, ${steps[step]}. Arrow keys: ${keys}; the text below reads the numbers.`);
    sentence.textContent = describeRow(layer, head, row, step);
  }

  function move(event) {
    const arrow = arrowStep(event);
    if (!arrow) return;
    if (arrow[1]) save(model, "row", (chosen("row", size) + arrow[1] + size) % size);
    else save(model, "step", clamp(chosen("step", steps.length) - arrow[0], 0, steps.length - 1));
  }
  layer_menu.addEventListener("change", () => save(model, "layer", Number(layer_menu.value)));
  head_menu.addEventListener("change", () => save(model, "head", Number(head_menu.value)));
  line.addEventListener("keydown", move);
  header.addEventListener("click", (event) => {
    const button = event.target.closest("[data-step]");
    if (button) save(model, "step", Number(button.dataset.step));
  });
  header.addEventListener("keydown", (event) => {
    move(event);
    if (event.key === "Enter" && !event.shiftKey) event.stopPropagation();  // else Lab edits the cell
  });
  readText();
  const choices = { layer: update, head: update, row: update, step: update };
  return listen(model, { values: readText, labels: readText, ...choices, ...field.handlers });
}

export default { render };
