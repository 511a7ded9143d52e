// Draws the table once as an image, then only moves a frame and rewrites five bars.
const LIKELIEST = 5;

function picture(model, size) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const pixels = new Uint8ClampedArray(bytesOf(model.get("colors")));
  canvas.getContext("2d").putImageData(new ImageData(pixels, size, size), 0, 0);
  return canvas.toDataURL();
}

function render({ model, el }) {
  const characters = model.get("characters");
  const table = new Float32Array(bytesOf(model.get("probabilities")));
  const size = characters.length;
  let row = 0, column = 0;

  element(el, "div", "font-weight:600", model.get("title"));
  element(el, "div", "opacity:.8;margin-bottom:4px",
    "Rows: the character before. Columns: the one after. Point at a cell, or click and use the arrow keys.");
  const body = element(el, "div", "display:flex;gap:24px;flex-wrap:wrap;align-items:flex-start");
  const frame = element(body, "div",
    "position:relative;width:min(520px,100%);aspect-ratio:1;cursor:crosshair");
  frame.className = "gpt-pairs";
  frame.tabIndex = 0;
  frame.setAttribute("role", "application");
  frame.setAttribute("aria-label", model.get("title") + ". Arrow keys move, the text beside it reads the cell.");
  const image = element(frame, "img", "width:100%;height:100%;image-rendering:pixelated;display:block");
  image.src = picture(model, size);
  image.alt = "";
  const marker = element(frame, "div",
    "position:absolute;border:2px solid #D55E00;outline:1px solid white;box-sizing:border-box;pointer-events:none");
  const side = element(body, "div", "min-width:220px;font-variant-numeric:tabular-nums");
  const sentence = element(side, "div", "margin-bottom:8px");
  sentence.className = "gpt-sentence";
  sentence.setAttribute("aria-live", "polite");
  const list = element(side, "div", "");

  function update() {
    const cell = 100 / size;
    marker.style.left = `calc(${column * cell}% - 2px)`;
    marker.style.top = `calc(${row * cell}% - 2px)`;
    marker.style.width = marker.style.height = `calc(${cell}% + 4px)`;
    const line = Array.from(table.slice(row * size, row * size + size));
    sentence.textContent =
      `after ${characters[row]} comes ${characters[column]} with ${(100 * line[column]).toFixed(1)} %`;
    list.replaceChildren();
    element(list, "div", "opacity:.8", `likeliest after ${characters[row]}`);
    const order = [...line.keys()].sort((a, b) => line[b] - line[a]).slice(0, LIKELIEST);
    for (const next of order) {
      const entry = element(list, "div", "display:flex;gap:6px;align-items:center");
      element(entry, "code", "width:1.5em", characters[next]);
      element(entry, "div", `height:12px;background:#0072B2;width:${140 * line[next]}px`);
      element(entry, "span", "", `${(100 * line[next]).toFixed(1)} %`);
    }
  }
  function point(event) {
    const box = frame.getBoundingClientRect();
    const index = (at, length) => Math.max(0, Math.min(size - 1, Math.floor((at / length) * size)));
    column = index(event.clientX - box.left, box.width);
    row = index(event.clientY - box.top, box.height);
    update();
  }
  function move(event) {
    const step = arrowStep(event);
    if (!step) return;
    row = (row + step[0] + size) % size;
    column = (column + step[1] + size) % size;
    update();
  }
  frame.addEventListener("mousemove", point);
  frame.addEventListener("click", (event) => { frame.focus(); point(event); });
  frame.addEventListener("keydown", move);
  update();
}

export default { render };
