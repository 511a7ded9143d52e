// Draws what the traits hold and computes no probability itself: Python chose the rows, the
// segments and the token sampled. Nodes stay, so that a redraw is fast and keeps the focus.
const LETTER_WIDTH = 8, MAX_LABEL = 14;

function addHead(parent) {
  const head = element(parent, "div", "gpt-token-row gpt-token-head");
  element(head, "span", "", "token");
  for (const [name, swatch] of [["model", "gpt-before"], ["settings", "gpt-after"]]) {
    const cell = element(head, "span", "gpt-token-key");
    element(cell, "span", `gpt-swatch ${swatch}`);
    element(cell, "span", "", name);
  }
}

function addRow(list) {
  const node = element(list, "div"), label = element(node, "code");
  const texts = [0, 1].map(() => element(node, "span", "gpt-number"));
  // The rail is 100 % in every state, so that a bar moves only as its probability does.
  const rail = element(node, "div", "gpt-token-rail");
  return { node, label, texts, before: element(rail, "div", "gpt-before"), after: element(rail, "div", "gpt-after") };
}

function fillRow({ node, label, before, after, texts }, row, is_sampled, pick_label) {
  const cut = row.after === 0, many = row.id < 0, pickable = pick_label && !many;
  node.dataset.id = row.id;
  node.hidden = false;
  node.className = "gpt-token-row";
  node.classList.toggle("gpt-cut", cut);
  node.classList.toggle("gpt-many", many);
  node.classList.toggle("gpt-pickable", Boolean(pickable));
  node.classList.toggle("gpt-sampled", is_sampled);
  label.textContent = (is_sampled ? "▸ " : "") + row.label;
  before.style.width = `${100 * row.before}%`;
  after.style.width = `${100 * row.after}%`;
  row.texts.forEach((text, at) => { texts[at].textContent = text; });
  const numbers = `model ${row.texts[0]}, settings ${row.texts[1]}${is_sampled ? ", drawn" : ""}`;
  const description = `${pickable ? `${pick_label} ` : ""}“${row.label}”: ${numbers}`;
  node.setAttribute("aria-label", description);
  node.setAttribute("role", pickable ? "button" : "img");
  node.title = description;
}

function fillSegment(node, segment, index, width, is_sampled, pick_label) {
  node.dataset.id = segment.id;
  node.hidden = false;
  node.className = `gpt-segment gpt-stripe-${index % 2}`;
  node.classList.toggle("gpt-many", segment.id < 0);
  node.classList.toggle("gpt-pickable", Boolean(pick_label) && segment.id >= 0);
  node.classList.toggle("gpt-sampled", is_sampled);
  node.style.left = `${100 * segment.start}%`;
  node.style.width = `${100 * segment.width}%`;
  const fits = segment.width * width > LETTER_WIDTH * (segment.label.length + 1);
  node.textContent = fits ? segment.label : "";
  const end = segment.start + segment.width;
  node.title = `“${segment.label}”, ${segment.text}: ${segment.start.toFixed(3)} to ${end.toFixed(3)}`;
}

// At least `count` nodes in `pool`: the others stay, hidden, for a longer list.
function growPool(pool, count, make) {
  while (pool.length < count) pool.push(make());
  return pool;
}

function addBar(parent) {
  const caption = element(parent, "div", "gpt-caption"), line = element(parent, "div", "gpt-cumulative");
  line.setAttribute("role", "img");
  line.setAttribute("aria-label", "All tokens that are left in a line from 0 to 1; the text below tells where u lands.");
  const bar = element(line, "div", "gpt-segments"), marker = element(line, "div", "gpt-u-marker");
  element(marker, "div", "gpt-u-arrow");
  const label = element(line, "div", "gpt-u-label"), scale = element(parent, "div", "gpt-scale");
  for (const tick of ["0", "0.25", "0.5", "0.75", "1"]) element(scale, "span", "", tick);
  return { caption, line, bar, marker, label };
}

function render({ model, el }) {
  const rows = [], segments = [];
  let focus = 0;

  const { title, hint } = addHeader(el, model.get("title"));
  hint.id = `gpt-hint-${Math.random().toString(36).slice(2)}`;  // two pages may show one widget
  const body = element(el, "div", "gpt-next-token-body");
  addHead(body);
  const list = element(body, "div", "gpt-next-token");
  list.setAttribute("role", "group");
  list.setAttribute("aria-label", "The likeliest tokens");
  list.setAttribute("aria-describedby", hint.id);
  const { caption, line, bar, marker, label } = addBar(body);
  const sentence = addSentence(el);
  sentence.classList.add("gpt-next-token-sentence");

  // Only tokens can be picked, and only where there is a word for it; the row of all others
  // is the last.
  function countPickable() {
    return model.get("pick_label") ? model.get("rows").filter((row) => row.id >= 0).length : 0;
  }

  function isSampled(id) { return id >= 0 && id === model.get("sampled_id"); }

  function drawRows(wanted, pick_label) {
    growPool(rows, wanted.length, () => addRow(list)).forEach((row, at) => {
      if (at < wanted.length) fillRow(row, wanted[at], isSampled(wanted[at].id), pick_label);
      else row.node.hidden = true;
    });
    stopAt(clamp(focus, 0, Math.max(0, countPickable() - 1)));
  }

  function stopAt(index) {
    focus = index;
    const count = countPickable(), nodes = rows.map(({ node }) => node);
    setTabStop(nodes.slice(0, count), focus);
    for (const node of nodes.slice(count)) node.removeAttribute("tabindex");
  }

  function drawBar() {
    const wanted = model.get("segments"), u = model.get("u");
    growPool(segments, wanted.length, () => element(bar, "div")).forEach((node, at) => {
      if (at < wanted.length) fillSegment(node, wanted[at], at, bar.clientWidth, isSampled(wanted[at].id), model.get("pick_label"));
      else node.hidden = true;
    });
    marker.hidden = label.hidden = u === null;
    line.classList.toggle("gpt-has-u", u !== null);
    caption.textContent = `The settings’ probabilities in a line, likeliest first${u === null ? "" : "; the draw u lands on one"}:`;
    if (u === null) return;
    marker.style.left = label.style.left = `${100 * u}%`;
    label.style.transform = `translateX(${-100 * u}%)`;  // stays within the page at 0 and at 1
    label.textContent = `${model.get("u_text")} → “${wanted.find(({ id }) => isSampled(id)).label}”`;
  }

  function draw() {
    const wanted = model.get("rows"), pick_label = model.get("pick_label");
    title.textContent = model.get("title");
    body.hidden = !wanted.length;
    hint.textContent = pick_label && wanted.length ? `Click a token (or: up, down, Enter) to ${pick_label} it.` : "";
    const longest = Math.max(4, ...wanted.map((row) => row.label.length));
    body.style.setProperty("--gpt-label-width", `${0.6 * Math.min(MAX_LABEL, longest + 2)}em`);
    drawRows(wanted, pick_label);
    drawBar();
    say(sentence, model.get("sentence"));
  }

  function pickAt(event) {
    const id = Number(event.target.closest("[data-id]")?.dataset.id ?? -1);
    if (id >= 0 && model.get("pick_label")) pick(model, id);
  }
  function press(event) {
    const step = arrowStep(event), count = countPickable();
    if (step && count) {
      stopAt(clamp(focus + step[0], 0, count - 1));
      rows[focus].node.focus();
    } else if ((event.key === "Enter" || event.key === " ") && !event.shiftKey && !event.ctrlKey) {
      keepKey(event);
      pickAt(event);
    }
  }
  function arrive(event) {
    const at = rows.findIndex(({ node }) => node === event.target);
    if (at >= 0) stopAt(at);
  }

  list.addEventListener("click", pickAt);
  list.addEventListener("keydown", press);
  list.addEventListener("focusin", arrive);
  bar.addEventListener("click", pickAt);
  model.on("change", draw);  // once for all traits that came together
  const resized = new ResizeObserver(drawBar);
  resized.observe(bar);
  draw();
  return () => {
    resized.disconnect();
    model.off("change", draw);
  };
}

export default { render };
