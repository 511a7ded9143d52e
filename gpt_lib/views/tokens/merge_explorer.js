// Merges each chunk anew at every move of the slider; a token taken apart stays so until then.

// A number for a pair of ids, fit for a Map.
function pairKey(left, right) { return left * 2 ** 20 + right; }

// The chunk after the first `count` merges: always the pair that was learned first.
function applyMerges(chunk, ranks, first, count) {
  let ids = chunk;
  for (;;) {
    let best = count;
    for (let at = 0; at + 1 < ids.length; at++) {
      const rank = ranks.get(pairKey(ids[at], ids[at + 1]));
      if (rank < best) best = rank;
    }
    if (best === count) return ids;
    const merged = [];
    for (let at = 0; at < ids.length; at++) {
      const isPair = at + 1 < ids.length && ranks.get(pairKey(ids[at], ids[at + 1])) === best;
      merged.push(isPair ? first + best : ids[at]);
      if (isPair) at++;
    }
    ids = merged;
  }
}

function render({ model, el }) {
  const title = model.get("title");
  let merges = [], ranks = new Map(), labels = [], first = 0;
  let tokens = [], pieces = [], selected = -1;

  addHeader(el, title, "Move the slider. Click a token, or use the arrow keys, to see its family; Enter undoes its merge.");
  const field = addTextField(el, model), row = element(el, "div", "gpt-row");
  const slider = element(row, "input", "gpt-merge-slider");
  slider.type = "range";
  slider.min = 0;
  addLabelled(row, "Merges", slider);
  const number = element(row, "input", "gpt-merge-number");
  number.type = "number";
  number.min = 0;
  addLabelled(row, "", number).lastChild.setAttribute("aria-label", "Merges, as a number");
  const status = addStatus(row);
  const frame = addFocusFrame(el, "gpt-pieces gpt-merged-text", `${title}. Arrow keys walk from token to token, Enter undoes a merge; the text below reads the token.`);
  const undo = element(el, "button", "jupyter-button", "Undo this merge");
  const sentence = addSentence(el);
  const family = element(el, "div", "gpt-family");
  family.setAttribute("aria-hidden", "true");

  function load() {
    merges = model.get("merges");
    labels = model.get("labels");
    first = labels.length - merges.length;
    ranks = new Map();
    // Of two merges of one pair the first counts.
    merges.forEach(([left, right], rank) => { if (!ranks.has(pairKey(left, right))) ranks.set(pairKey(left, right), rank); });
    slider.max = number.max = merges.length;
    merge();
  }

  function merge() {
    const count = model.get("count");
    slider.value = number.value = count;
    tokens = model.get("chunks").flatMap((chunk) => applyMerges(chunk, ranks, first, count));
    selected = -1;
    draw();
  }

  function draw() {
    const bytes = model.get("chunks").reduce((sum, chunk) => sum + chunk.length, 0);
    status.textContent = `${bytes} bytes are ${tokens.length} tokens`;
    frame.replaceChildren();
    pieces = addPieces(frame, tokens.map((id) => labels[id]));
    update();
  }

  function parentsOf(id) { return id < first ? [] : merges[id - first]; }

  function describe(id) {
    const [left, right] = parentsOf(id);
    const name = `“${labels[id]}”`;
    if (left === undefined) return `${name} is token ${id}: a single byte.`;
    return `${name} is token ${id}, merge ${id - first + 1} of ${merges.length}: “${labels[left]}” + “${labels[right]}”.`;
  }

  function drawFamily(parent, id) {
    const box = element(parent, "div", "gpt-member");
    element(box, "span", "gpt-piece gpt-piece-1", labels[id]);
    const children = element(box, "div", "gpt-children");
    for (const child of parentsOf(id)) drawFamily(children, child);
  }

  function update() {
    pieces.forEach((piece, at) => piece.classList.toggle("gpt-selected", at === selected));
    family.replaceChildren();
    const id = tokens[selected];
    undo.disabled = id === undefined || id < first;
    sentence.textContent = id === undefined ? "No token is selected." : describe(id);
    if (id !== undefined) drawFamily(family, id);
  }

  function select(at) {
    selected = clamp(at, 0, tokens.length - 1);
    update();
    pieces[selected]?.scrollIntoView({ block: "nearest" });
  }

  function takeApart() {
    const parents = parentsOf(tokens[selected] ?? -1);
    if (!parents.length) return;
    tokens.splice(selected, 1, ...parents);
    draw();
  }

  function setCount(value) {
    save(model, "count", clamp(Math.round(Number(value) || 0), 0, merges.length));
  }

  function click(event) {
    const at = pieces.indexOf(event.target);
    if (at < 0) return;
    frame.focus({ preventScroll: true });
    select(at);
  }
  function walk(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.altKey) {
      keepKey(event);
      takeApart();
      return;
    }
    const step = arrowStep(event);
    if (step) select(selected + step[0] + step[1]);
  }

  slider.addEventListener("input", () => setCount(slider.value));
  number.addEventListener("change", () => setCount(number.value));
  undo.addEventListener("click", takeApart);
  frame.addEventListener("click", click);
  frame.addEventListener("keydown", walk);
  load();
  return listen(model, { ...field.handlers, chunks: merge, count: merge, labels: load, merges: load });
}

export default { render };
