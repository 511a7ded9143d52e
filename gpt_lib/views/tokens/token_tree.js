// Puts each box where Python says, in characters and rows; a selection only changes styles.
const CHARACTER = 8, ROW = 44, HEIGHT = 37, PADDING = 6, MARGIN = 6;

function leftOf(box) { return MARGIN + CHARACTER * box.x; }
function topOf(box) { return MARGIN + ROW * box.row; }
function widthOf(box) { return CHARACTER * box.width + 2 * PADDING; }

function curveBetween(parent, child) {
  const begin = leftOf(parent) + widthOf(parent), end = leftOf(child), middle = (begin + end) / 2;
  const from = topOf(parent) + HEIGHT / 2, to = topOf(child) + HEIGHT / 2;
  return `M${begin},${from}C${middle},${from} ${middle},${to} ${end},${to}`;
}

// The indices from a root to a node; of -1, none.
function pathTo(boxes, index) {
  const path = [];
  for (let at = index; at >= 0; at = boxes[at].parent) path.unshift(at);
  return path;
}

// What the signs and frames of those states mean that this tree has.
function legendOf(boxes) {
  const meanings = { best: "★ best", ended: "■ ended", pruned: "dashed: pruned" };
  return Object.keys(meanings).filter((state) => boxes.some((box) => box.state === state))
    .map((state) => meanings[state]).join(", ");
}

// The node to which a key leads from the node `at`; `at` itself if there is none.
function nextNode(boxes, at, key) {
  const node = boxes[at];
  if (key === "Home" || !node) return boxes.length ? 0 : -1;
  if (key === "ArrowLeft") return node.parent < 0 ? at : node.parent;
  if (key === "ArrowRight") {
    const child = boxes.findIndex((box) => box.parent === at);
    return child < 0 ? at : child;
  }
  const column = [...boxes.keys()].filter((other) => boxes[other].x === node.x)
    .sort((a, b) => boxes[a].row - boxes[b].row);
  return column[clamp(column.indexOf(at) + (key === "ArrowUp" ? -1 : 1), 0, column.length - 1)];
}

function addShape(parent, tag) {
  return parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", tag));
}

function drawLinks(paper, boxes, width, height) {
  const svg = addShape(paper, "svg");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  return boxes.map((box) => {
    const link = addShape(svg, "path");
    if (box.parent >= 0) link.setAttribute("d", curveBetween(boxes[box.parent], box));
    link.classList.add(`gpt-${box.state}`);
    return link;
  });
}

function drawBox(paper, boxes, at, id) {
  const box = boxes[at], item = element(paper, "div", `gpt-node gpt-${box.state}`);
  item.style.left = `${leftOf(box)}px`;
  item.style.top = `${topOf(box)}px`;
  item.style.width = `${widthOf(box)}px`;
  element(item, "span", "", box.short);
  if (box.note) element(item, "span", "gpt-note", box.note);
  item.id = id;
  item.dataset.at = at;
  item.title = box.label;
  item.setAttribute("role", "treeitem");
  item.setAttribute("aria-level", pathTo(boxes, at).length);
  item.setAttribute("aria-label", [box.label.trim() ? box.label : box.short, box.note, box.state].filter(Boolean).join(", "));
  return item;
}

function render({ model, el }) {
  // Two pages may show one widget, and an id is the document's.
  const id = `gpt-node-${Math.random().toString(36).slice(2)}`, title = model.get("title");
  let boxes = [], items = [], links = [], was_visible = false;

  const { hint } = addHeader(el, title);
  const frame = addFocusFrame(el, "gpt-token-tree", `${title}. Arrow keys walk the tree; the text below reads the path.`, "tree");
  const paper = element(frame, "div", "gpt-paper");
  paper.setAttribute("role", "presentation");
  const sentence = addSentence(el);
  sentence.classList.add("gpt-path");

  function showHint() {
    hint.textContent = "Click a node, or use the arrow keys: left to the parent, right to a child, up and down in a column, Home to the root. "
      + (model.get("pickable") ? "Enter, or a click, picks it. " : "") + legendOf(model.get("boxes"));
  }

  // A tree that grows is followed, as long as its end was in sight.
  function draw() {
    const follow = boxes.length && frame.scrollLeft + frame.clientWidth >= frame.scrollWidth - 2 * PADDING;
    boxes = model.get("boxes");
    paper.replaceChildren();
    const width = Math.max(0, ...boxes.map((box) => leftOf(box) + widthOf(box))) + MARGIN;
    const height = Math.max(0, ...boxes.map((box) => topOf(box) + HEIGHT)) + MARGIN;
    paper.style.width = `${width}px`;
    links = drawLinks(paper, boxes, width, height);
    items = boxes.map((_, at) => drawBox(paper, boxes, at, `${id}-${at}`));
    if (follow) reveal(items[boxes.findLastIndex((box) => box.state !== "pruned")] ?? items[0]);
    showHint();
    update();
  }

  function selectedNode() {
    const at = model.get("selected");
    return at < boxes.length ? at : -1;
  }

  function update() {
    const selected = selectedNode(), path = pathTo(boxes, selected);
    items.forEach((item, at) => {
      const on_path = path.includes(at);
      item.classList.toggle("gpt-selected", at === selected);
      item.classList.toggle("gpt-on-path", on_path);
      item.setAttribute("aria-selected", at === selected);
      links[at].classList.toggle("gpt-on-path", on_path);
      if (on_path) links[at].parentNode.append(links[at]);  // above the others
    });
    frame.setAttribute("aria-activedescendant", selected < 0 ? "" : items[selected].id);
    sentence.textContent = selected < 0 ? model.get("summary") : describePath(path);
    if (selected >= 0) reveal(items[selected]);
  }

  function describePath(path) {
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
    if (frame.clientWidth && !was_visible && items.length) reveal(items[Math.max(0, selectedNode())]);
    was_visible = frame.clientWidth > 0;
  }

  function click(event) {
    const item = event.target.closest("[data-at]");
    if (!item) return;
    frame.focus({ preventScroll: true });
    save(model, "selected", Number(item.dataset.at));
    pick(model, Number(item.dataset.at));
  }
  function walk(event) {
    const isEnter = event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.altKey;
    if (isEnter || event.key === "Home") keepKey(event);
    else if (!arrowStep(event)) return;
    if (!isEnter) save(model, "selected", nextNode(boxes, selectedNode(), event.key));
    else if (selectedNode() >= 0) pick(model, selectedNode());
  }

  frame.addEventListener("click", click);
  frame.addEventListener("keydown", walk);
  const resized = new ResizeObserver(resize);
  resized.observe(frame);
  draw();
  const unlisten = listen(model, { boxes: draw, pickable: showHint, selected: update, summary: update });
  return () => {
    resized.disconnect();
    unlisten();
  };
}

export default { render };
