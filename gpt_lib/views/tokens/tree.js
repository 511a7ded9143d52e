// Puts each box where the kernel says, in characters and rows; a selection only restyles.
const CHARACTER = 8, ROW = 44, HEIGHT = 37, PADDING = 6, CHOSEN = "#D55E00";
const INK = "var(--jp-ui-font-color1,#000)", GREY = "var(--jp-ui-font-color2,#666)";

function leftOf(box) { return 6 + CHARACTER * box.x; }
function topOf(box) { return 6 + ROW * box.row; }
function widthOf(box) { return CHARACTER * box.width + 2 * PADDING; }

function curveBetween(parent, child) {
  const begin = leftOf(parent) + widthOf(parent), end = leftOf(child), bend = (begin + end) / 2;
  const from = topOf(parent) + HEIGHT / 2, to = topOf(child) + HEIGHT / 2;
  return `M${begin},${from}C${bend},${from} ${bend},${to} ${end},${to}`;
}

// The indices from a root to a node; of -1, none.
function pathTo(boxes, index) {
  const path = [];
  for (let at = index; at >= 0; at = boxes[at].parent) path.unshift(at);
  return path;
}

function styleOf(box) {
  const look = {
    pruned: `border:1px dashed ${GREY};color:${GREY}`,
    best: `border:3px solid ${INK};color:${INK};font-weight:700`,
  }[box.state] ?? `border:1px solid ${INK};color:${INK}`;
  return `position:absolute;left:${leftOf(box)}px;top:${topOf(box)}px;width:${widthOf(box)}px;height:${HEIGHT}px;`
    + "box-sizing:border-box;display:flex;flex-direction:column;justify-content:center;text-align:center;white-space:pre;"
    + `overflow:hidden;border-radius:4px;cursor:pointer;background:var(--jp-layout-color1,#fff);line-height:1.15;${look}`;
}

// What the looks of the states mean that this tree has.
function legendOf(boxes) {
  const looks = { best: "★ best", ended: "■ ended", pruned: "dashed: pruned" };
  return Object.keys(looks).filter((state) => boxes.some((box) => box.state === state))
    .map((state) => looks[state]).join(", ");
}

// The node to which a key leads from the node `at`, itself where there is none.
function nextOf(boxes, at, key) {
  const here = boxes[at];
  if (key === "Home" || !here) return boxes.length ? 0 : -1;
  if (key === "ArrowLeft") return here.parent < 0 ? at : here.parent;
  if (key === "ArrowRight") {
    const child = boxes.findIndex((box) => box.parent === at);
    return child < 0 ? at : child;
  }
  const column = [...boxes.keys()].filter((other) => boxes[other].x === here.x)
    .sort((a, b) => boxes[a].row - boxes[b].row);
  const place = column.indexOf(at) + (key === "ArrowUp" ? -1 : 1);
  return column[Math.max(0, Math.min(column.length - 1, place))];
}

function render({ model, el }) {
  // Two pages may show one widget, and an id is the document's.
  const id = `gpt-node-${Math.random().toString(36).slice(2)}`;
  let boxes = [], items = [], links = [], was_shown = false;

  element(el, "div", "font-weight:600", model.get("title"));
  const hint = element(el, "div", "opacity:.8;margin-bottom:6px");
  const frame = element(el, "div", "overflow:auto;max-height:70vh;max-width:100%;width:fit-content;min-width:3em;min-height:3em;box-sizing:border-box;"
    + "border:1px solid var(--jp-border-color2,#bbb);border-radius:4px");
  frame.className = "gpt-tree";
  frame.tabIndex = 0;
  frame.setAttribute("role", "tree");
  frame.setAttribute("aria-label", `${model.get("title")}. Arrow keys walk the tree; the text below reads the path.`);
  const paper = element(frame, "div", "position:relative");
  paper.setAttribute("role", "presentation");
  const sentence = element(el, "div", "margin-top:6px;min-height:1.4em;overflow-wrap:anywhere;white-space:pre-wrap");
  sentence.className = "gpt-sentence";
  sentence.setAttribute("aria-live", "polite");

  function showHint() {
    hint.textContent = "Click a node, or use the arrow keys: left to the parent, right to a child, up and down in a column, Home to the root. "
      + (model.get("pickable") ? "Enter, or a click, picks it. " : "") + legendOf(model.get("boxes"));
  }

  function drawing(tag, parent) {
    return parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", tag));
  }

  function drawLinks(width, height) {
    const svg = drawing("svg", paper);
    svg.setAttribute("aria-hidden", "true");
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    svg.style.display = "block";
    return boxes.map((box) => {
      const link = drawing("path", svg);
      link.style.fill = "none";
      if (box.parent >= 0) link.setAttribute("d", curveBetween(boxes[box.parent], box));
      if (box.state === "pruned") link.style.strokeDasharray = "4 3";
      return link;
    });
  }

  function drawBox(box, at) {
    const item = element(paper, "div", styleOf(box));
    const family = "font-family:var(--jp-code-font-family,monospace)";
    element(item, "span", `${family};font-size:13px`, box.short);
    if (box.note) element(item, "span", `${family};font-size:11px;font-weight:400`, box.note);
    item.id = `${id}-${at}`;
    item.dataset.at = at;
    item.title = box.label;
    item.setAttribute("role", "treeitem");
    item.setAttribute("aria-level", pathTo(boxes, at).length);
    item.setAttribute("aria-label", [box.label.trim() ? box.label : box.short, box.note, box.state].filter(Boolean).join(", "));
    return item;
  }

  // A tree that grows is followed, as long as its end was in sight.
  function draw() {
    const followed = boxes.length && frame.scrollLeft + frame.clientWidth >= frame.scrollWidth - 2 * PADDING;
    boxes = model.get("boxes");
    paper.replaceChildren();
    const width = Math.max(0, ...boxes.map((box) => leftOf(box) + widthOf(box))) + 6;
    const height = Math.max(0, ...boxes.map((box) => topOf(box) + HEIGHT)) + 6;
    paper.style.width = `${width}px`;
    links = drawLinks(width, height);
    items = boxes.map(drawBox);
    if (followed) reveal(items[boxes.findLastIndex((box) => box.state !== "pruned")] ?? items[0]);
    update();
  }

  function selected() {
    const at = model.get("selected");
    return at < boxes.length ? at : -1;
  }

  function update() {
    const chosen = selected(), path = pathTo(boxes, chosen);
    items.forEach((item, at) => {
      const width = at === chosen ? 3 : path.includes(at) ? 1 : 0;
      item.style.boxShadow = width ? `0 0 0 ${width}px ${CHOSEN}` : "";
      item.setAttribute("aria-selected", at === chosen);
      const link = links[at];
      link.style.stroke = path.includes(at) ? CHOSEN : GREY;
      link.style.strokeWidth = path.includes(at) ? 4 : boxes[at].state === "best" ? 2.5 : 1;
      if (path.includes(at)) link.parentNode.append(link);  // above the others
    });
    frame.setAttribute("aria-activedescendant", chosen < 0 ? "" : items[chosen].id);
    sentence.textContent = chosen < 0 ? model.get("summary") : words(path);
    if (chosen >= 0) reveal(items[chosen]);
  }

  function words(path) {
    const { note, state } = boxes[path.at(-1)];
    const text = path.map((at) => boxes[at].label).join("").replaceAll("\n", "↵");
    return [`“${text}”`, note, state].filter(Boolean).join(" · ");
  }

  // Brings a node to the middle if it is out of sight. Scrolls the frame alone: the page
  // stays where the reader is.
  function reveal(item) {
    const { offsetLeft: left, offsetTop: top, offsetWidth: width, offsetHeight: height } = item;
    if (left < frame.scrollLeft || left + width > frame.scrollLeft + frame.clientWidth)
      frame.scrollLeft = left + width / 2 - frame.clientWidth / 2;
    if (top < frame.scrollTop || top + height > frame.scrollTop + frame.clientHeight)
      frame.scrollTop = top + height / 2 - frame.clientHeight / 2;
  }

  // A page that is not on the screen, as when first drawn, has no size and cannot scroll.
  function resize() {
    if (frame.clientWidth && !was_shown && items.length) reveal(items[Math.max(0, selected())]);
    was_shown = frame.clientWidth > 0;
  }

  function select(at) {
    model.set("selected", at);
    model.save_changes();
  }
  function pick(at) { model.send({ pick: at }); }

  function click(event) {
    const item = event.target.closest("[data-at]");
    if (!item) return;
    frame.focus({ preventScroll: true });
    select(Number(item.dataset.at));
    pick(Number(item.dataset.at));
  }
  function walk(event) {
    const isEnter = event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.altKey;
    if (isEnter || event.key === "Home") {
      event.preventDefault();
      event.stopPropagation();
    } else if (!arrowStep(event)) return;
    if (!isEnter) select(nextOf(boxes, selected(), event.key));
    else if (selected() >= 0) pick(selected());
  }

  frame.addEventListener("click", click);
  frame.addEventListener("keydown", walk);
  const resized = new ResizeObserver(resize);
  resized.observe(frame);
  model.on("change:boxes", draw);
  model.on("change:boxes", showHint);
  model.on("change:pickable", showHint);
  model.on("change:selected", update);
  model.on("change:summary", update);
  showHint();
  draw();
  return () => {
    resized.disconnect();
    model.off("change:pickable", showHint);
    model.off("change:boxes", draw);
    model.off("change:boxes", showHint);
    model.off("change:selected", update);
    model.off("change:summary", update);
  };
}

export default { render };
