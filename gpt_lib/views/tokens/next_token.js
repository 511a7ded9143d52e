// Draws what the traits hold and works out no chance itself: Python chose the rows, the
// segments and the token drawn. Nodes stay, so that a redraw is fast and keeps the focus.
const LINE = "#D55E00", SOLID = "#0072B2", LETTER = 8;
const DASHED = "border:1px dashed var(--jp-ui-font-color1,#333);background:rgba(128,128,128,.25)";
const COLUMNS = "display:grid;grid-template-columns:var(--gpt-names) 4.5em 5em minmax(0,1fr);gap:0 8px;align-items:center;padding:0 6px";
const STRIPES = ["#bcd9ee", "#e3eff8"];
const HATCH = "repeating-linear-gradient(45deg,#ddd 0 4px,#fff 4px 8px)";

function drawHead(parent) {
  const head = element(parent, "div", `${COLUMNS};opacity:.9;margin-top:4px`);
  element(head, "span", "", "token");
  for (const [name, swatch] of [["model", DASHED], ["settings", `background:${SOLID}`]]) {
    const cell = element(head, "span", "display:flex;gap:4px;align-items:center;justify-content:flex-end");
    element(cell, "span", `width:12px;height:10px;flex:none;box-sizing:border-box;${swatch}`);
    element(cell, "span", "", name);
  }
}

function newRow(list) {
  const node = element(list, "div", "");
  const name = element(node, "code", "background:none;color:inherit;white-space:pre;overflow:hidden;text-overflow:ellipsis");
  const told = [0, 1].map(() => element(node, "span", "text-align:right;white-space:nowrap"));
  // The rail is 100 % in every state, so that a bar moves only as its chance does.
  const rail = element(node, "div", "position:relative;height:18px;background:rgba(128,128,128,.1)");
  const before = element(rail, "div", `position:absolute;top:1px;height:16px;box-sizing:border-box;${DASHED}`);
  const after = element(rail, "div", `position:absolute;top:5px;height:8px;background:${SOLID}`);
  return { node, name, before, after, told };
}

function fillRow({ node, name, before, after, told }, row, drawn, label) {
  const cut = row.after === 0, many = row.id < 0;
  node.dataset.id = row.id;
  node.style.cssText = `${COLUMNS};line-height:22px;border-radius:2px;opacity:${cut ? 0.6 : 1};`
    + `cursor:${label && !many ? "pointer" : "default"};font-weight:${drawn ? 700 : 400};`
    + `box-shadow:${drawn ? `inset 0 0 0 2px ${LINE}` : "none"}`;
  name.textContent = (drawn ? "▸ " : "") + row.name;
  name.style.fontStyle = many ? "italic" : "normal";
  name.style.textDecoration = cut && !many ? "line-through" : "none";
  before.style.width = `${100 * row.before}%`;
  after.style.width = `${100 * row.after}%`;
  row.told.forEach((text, at) => { told[at].textContent = text; });
  const verb = label && !many ? `${label} ` : "";
  const words = `${verb}“${row.name}”: model ${row.told[0]}, settings ${row.told[1]}${drawn ? ", drawn" : ""}`;
  node.setAttribute("aria-label", words);
  node.setAttribute("role", verb ? "button" : "img");
  node.title = words;
}

function fillSegment(node, part, at, width, drawn, label) {
  const paper = part.id < 0 ? HATCH : STRIPES[at % 2];
  node.dataset.id = part.id;
  node.style.cssText = `position:absolute;top:0;bottom:0;left:${100 * part.start}%;width:${100 * part.width}%;`
    + `background:${paper};color:#000;white-space:pre;overflow:hidden;text-align:center;line-height:30px;`
    + `cursor:${label && part.id >= 0 ? "pointer" : "default"};`
    + (drawn ? `font-weight:700;z-index:1;box-shadow:0 0 0 3px ${LINE}` : "");
  node.textContent = part.width * width > LETTER * (part.name.length + 1) ? part.name : "";
  node.title = `“${part.name}”, ${part.told}: ${part.start.toFixed(3)} to ${(part.start + part.width).toFixed(3)}`;
}

// As many nodes as wanted in `pool`: the rest stay hidden for a longer list.
function fit(pool, count, make) {
  while (pool.length < count) pool.push(make());
  return pool;
}

function render({ model, el }) {
  const rows = [], segments = [];
  let focus = 0;

  const title = element(el, "div", "font-weight:600");
  const hint = element(el, "div", "opacity:.8");
  hint.id = `gpt-chances-${Math.random().toString(36).slice(2)}`;
  const body = element(el, "div", "font-variant-numeric:tabular-nums;max-width:900px;min-width:280px");
  drawHead(body);
  const list = element(body, "div", "");
  list.className = "gpt-chances";
  list.setAttribute("role", "group");
  list.setAttribute("aria-label", "The likeliest tokens");
  list.setAttribute("aria-describedby", hint.id);
  const caption = element(body, "div", "opacity:.8;margin:8px 6px 0");
  const line = element(body, "div", "position:relative;margin:0 9px;height:30px");
  line.className = "gpt-cumulative";
  line.setAttribute("role", "img");
  line.setAttribute("aria-label", "All tokens that are left in a line from 0 to 1; the text below tells where u lands.");
  const bar = element(line, "div", "position:absolute;inset:0;background:#fff;font-family:var(--jp-code-font-family,monospace);font-size:13px");
  const marker = element(line, "div", "position:absolute;top:-4px;bottom:-5px;width:2px;background:#000;box-shadow:0 0 0 1px #fff;margin-left:-1px;z-index:2;pointer-events:none");
  const arrow = element(marker, "div", "position:absolute;left:-5px;top:-9px;border:6px solid transparent;border-top:9px solid var(--jp-ui-font-color0,#000);border-bottom:0");
  const told = element(line, "div", "position:absolute;bottom:calc(100% + 15px);font-weight:700;line-height:1;white-space:nowrap;display:none");
  const scale = element(body, "div", "display:flex;justify-content:space-between;margin:4px 4px 4px;opacity:.8;font-size:11px");
  for (const tick of ["0", "0.25", "0.5", "0.75", "1"]) element(scale, "span", "width:2.5em;text-align:center;margin:0 -0.9em", tick);
  const sentence = element(el, "div", "margin-top:4px;min-height:2.6em;max-width:900px");
  sentence.className = "gpt-sentence";
  sentence.setAttribute("aria-live", "polite");

  // Only tokens can be picked, and only where there is a word for it; the row of all
  // others is the last.
  function wanted() {
    return model.get("pick_label") ? model.get("rows").filter((row) => row.id >= 0).length : 0;
  }

  function drawRows(shown, winner, label) {
    fit(rows, shown.length, () => newRow(list)).forEach((row, at) => {
      if (at < shown.length) fillRow(row, shown[at], shown[at].id >= 0 && shown[at].id === winner, label);
      else row.node.style.display = "none";
    });
    stopAt(Math.max(0, Math.min(focus, wanted() - 1)));
  }

  // Tab stops at one row; the arrow keys lead to the others.
  function stopAt(place) {
    focus = place;
    rows.forEach(({ node }, at) => {
      if (at < wanted()) node.tabIndex = at === focus ? 0 : -1;
      else node.removeAttribute("tabindex");
    });
  }

  function drawBar() {
    const shown = model.get("segments"), winner = model.get("winner"), label = model.get("pick_label");
    const width = bar.clientWidth, u = model.get("u");
    fit(segments, shown.length, () => element(bar, "div", "")).forEach((node, at) => {
      if (at < shown.length) fillSegment(node, shown[at], at, width, shown[at].id >= 0 && shown[at].id === winner, label);
      else node.style.display = "none";
    });
    marker.style.display = told.style.display = u === null ? "none" : "block";
    line.style.marginTop = u === null ? "4px" : "30px";
    caption.textContent = `The settings’ chances in a line, likeliest first${u === null ? "" : "; the draw u lands on one"}:`;
    if (u === null) return;
    marker.style.left = told.style.left = `${100 * u}%`;
    told.style.transform = `translateX(${-100 * u}%)`;  // stays within the page at 0 and at 1
    told.textContent = `${model.get("u_told")} → “${shown.find((part) => part.id === winner).name}”`;
  }

  function draw() {
    const shown = model.get("rows"), label = model.get("pick_label");
    title.textContent = model.get("title");
    body.style.display = shown.length ? "block" : "none";
    hint.textContent = label && shown.length ? `Click a token (or: up, down, Enter) to ${label} it.` : "";
    const longest = Math.max(4, ...shown.map((row) => row.name.length));
    body.style.setProperty("--gpt-names", `${0.6 * Math.min(14, longest + 2)}em`);
    drawRows(shown, model.get("winner"), label);
    drawBar();
    if (sentence.textContent !== model.get("sentence")) sentence.textContent = model.get("sentence");
  }

  function pick(event) {
    const id = Number(event.target.closest("[data-id]")?.dataset.id ?? -1);
    if (id >= 0 && model.get("pick_label")) model.send({ type: "pick", id });
  }
  function press(event) {
    const step = arrowStep(event);
    if (step && wanted()) {
      stopAt(Math.max(0, Math.min(wanted() - 1, focus + step[0])));
      rows[focus].node.focus();
    } else if ((event.key === "Enter" || event.key === " ") && !event.shiftKey && !event.ctrlKey) {
      event.preventDefault();
      event.stopPropagation();
      pick(event);
    }
  }
  function arrive(event) {
    const at = rows.findIndex(({ node }) => node === event.target);
    if (at >= 0) stopAt(at);
  }

  list.addEventListener("click", pick);
  list.addEventListener("keydown", press);
  list.addEventListener("focusin", arrive);
  bar.addEventListener("click", pick);
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
