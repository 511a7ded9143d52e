// Draws the table once as an image, then only moves a marker and rewrites five bars.
const TOP_TOKENS = 5, BAR_WIDTH = 140;

function drawImage(table, size) {
  const canvas = document.createElement("canvas"), pixels = new ImageData(size, size);
  table.forEach((probability, at) => pixels.data.set([...colorOf(probability), 255], 4 * at));
  canvas.width = canvas.height = size;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas.toDataURL();
}

function render({ model, el }) {
  const labels = model.get("labels"), size = labels.length, title = model.get("title");
  const table = floatsOf(model.get("probabilities"));
  let row = 0, column = 0;

  addHeader(el, title, "Rows: the token before. Columns: the one after. Point at a cell, or click and use the arrow keys.");
  const body = element(el, "div", "gpt-columns");
  const frame = addFocusFrame(body, "gpt-bigram-table", `${title}. Arrow keys move, the text beside it reads the cell.`);
  const image = element(frame, "img");
  image.src = drawImage(table, size);
  image.alt = "";
  const marker = element(frame, "div", "gpt-marker");
  const side = element(body, "div", "gpt-side");
  const sentence = addSentence(side), list = element(side, "div");

  function update() {
    const cell = 100 / size;
    marker.style.left = `calc(${column * cell}% - 2px)`;
    marker.style.top = `calc(${row * cell}% - 2px)`;
    marker.style.width = marker.style.height = `calc(${cell}% + 4px)`;
    const probabilities = table.subarray(row * size, row * size + size);
    sentence.textContent = `after ${labels[row]} comes ${labels[column]} with ${(100 * probabilities[column]).toFixed(1)} %`;
    list.replaceChildren();
    element(list, "div", "gpt-hint", `likeliest after ${labels[row]}`);
    const order = [...labels.keys()].sort((a, b) => probabilities[b] - probabilities[a]).slice(0, TOP_TOKENS);
    for (const next of order) {
      const entry = element(list, "div", "gpt-bar-row");
      element(entry, "code", "", labels[next]);
      element(entry, "div", "gpt-bar").style.width = `${BAR_WIDTH * probabilities[next]}px`;
      element(entry, "span", "", `${(100 * probabilities[next]).toFixed(1)} %`);
    }
  }
  function point(event) {
    const box = frame.getBoundingClientRect();
    const index = (offset, length) => clamp(Math.floor((offset / length) * size), 0, size - 1);
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
