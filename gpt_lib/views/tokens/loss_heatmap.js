// Writes every block once, then only moves a frame and rewrites the panel beside it.
const LIKELIEST = 5;
const FRAME = "0 0 0 2px #D55E00, 0 0 0 3px white";

// A newline is shown by its sign and does what it says.
function shownAs(character) {
  return character === "↵" ? "↵\n" : character === "␣" ? " " : character;
}

function drawLegend(parent, legend, styles, paper) {
  const line = element(parent, "div", "display:flex;flex-wrap:wrap;gap:4px;align-items:center;margin:4px 0 8px");
  element(line, "span", "opacity:.8", "loss in nats:");
  legend.forEach((label, step) => {
    const swatch = element(line, "span", `${paper};padding:0 8px;margin:0;border:1px solid #888`);
    element(swatch, "span", "", label);
    swatch.style.cssText += `;${styles[step]}`;
  });
}

function render({ model, el }) {
  const names = model.get("names"), characters = model.get("characters");
  const losses = new Float32Array(bytesOf(model.get("losses")));
  const shades = new Uint8Array(bytesOf(model.get("shades")));
  const chances = new Float32Array(bytesOf(model.get("chances")));
  const guesses = model.get("guesses"), styles = model.get("styles"), means = model.get("means");
  const size = characters.length;
  let place = Math.min(1, size - 1), reader = 0;

  element(el, "div", "font-weight:600", model.get("title"));
  element(el, "div", "opacity:.8",
    "The darker a character, the less the model expected it. Point at one, or click and use the arrow keys:"
    + " left and right for the character, up and down for the model.");
  drawLegend(el, model.get("legend"), styles, model.get("paper"));
  const body = element(el, "div", "display:grid;gap:20px;align-items:start;grid-template-columns:minmax(0,1fr) clamp(220px,40%,330px)");
  const frame = element(body, "div", "padding:2px;cursor:crosshair;"
    + "display:grid;grid-template-columns:repeat(auto-fit,minmax(min(260px,100%),1fr));gap:4px 8px;align-items:start");
  frame.className = "gpt-heat";
  frame.tabIndex = 0;
  frame.setAttribute("role", "application");
  frame.setAttribute("aria-label",
    `${model.get("title")}. Arrow keys choose a character and a model, the text beside it reads the loss.`);
  const side = element(body, "div", "font-variant-numeric:tabular-nums");
  const sentence = element(side, "div", "margin-bottom:6px;min-height:2.6em");
  sentence.className = "gpt-sentence";

  const heads = [], blocks = [], panels = [];
  names.forEach((name, which) => {
    const box = element(frame, "div", "min-width:0");
    const head = element(box, "div", "display:flex;gap:10px;padding:0 4px");
    element(head, "b", "", name);
    element(head, "span", "opacity:.8", means[which]);
    const block = element(box, "div", model.get("paper"));
    characters.forEach((character, at) => {
      const cell = element(block, "span", styles[shades[which * size + at]], shownAs(character));
      cell.dataset.at = at;
      cell.dataset.reader = which;
    });
    heads.push(head);
    blocks.push(block);
    panels.push(element(side, "div", "padding:2px 6px;margin-bottom:2px;border-left:4px solid transparent"));
  });

  function drawPanel(panel, which) {
    const loss = losses[which * size + place];
    panel.replaceChildren();
    const head = element(panel, "div", "display:flex;gap:8px;justify-content:space-between");
    element(head, "b", "", names[which]);
    element(head, "span", "", Number.isNaN(loss) ? "no past" : `${loss.toFixed(2)} nats · ${percent(Math.exp(-loss))}`);
    const row = element(panel, "div", "display:flex;gap:4px");
    for (let rank = 0; rank < LIKELIEST; rank++) {
      const at = (which * size + place) * LIKELIEST + rank;
      if (!guesses[at]) continue;
      const hit = guesses[at] === characters[place];
      const box = element(row, "div",
        `flex:1 1 0;max-width:58px;white-space:nowrap;overflow:hidden;font-size:12px;padding:0 2px;outline:${hit ? "2px solid #D55E00" : "none"}`);
      element(box, "code", "", guesses[at]);
      element(box, "span", "", ` ${Math.round(100 * chances[at])}%`);
      const rail = element(box, "div", "height:5px;background:rgba(128,128,128,.3);margin-bottom:2px");
      element(rail, "div", `height:5px;background:#0072B2;width:${100 * chances[at]}%`);
    }
  }

  function words() {
    const loss = losses[reader * size + place];
    const where = `“${characters[place]}”, character ${place + 1} of ${size}, ${names[reader]}: `;
    if (Number.isNaN(loss)) return `${where}no past to read.`;
    return `${where}loss ${loss.toFixed(3)} nats, probability ${percent(Math.exp(-loss))}.`;
  }

  let framed = [];
  function update() {
    for (const cell of framed) cell.style.boxShadow = cell.style.position = "";
    framed = blocks.map((block) => block.children[place]);
    for (const cell of framed) {
      cell.style.boxShadow = FRAME;
      cell.style.position = "relative";  // above its neighbours' shades
    }
    panels.forEach((panel, which) => {
      if (panel.style.display !== "none") drawPanel(panel, which);
      panel.style.borderLeftColor = which === reader ? "#D55E00" : "transparent";
    });
    heads.forEach((head, which) => { head.style.textDecoration = which === reader ? "underline" : ""; });
    // Only who works here is told; the view that drives this one speaks for itself.
    sentence.ariaLive = el.matches(":focus-within") ? "polite" : "off";
    sentence.textContent = words();
    follow();
  }

  // All models, or the one that another view has chosen.
  function show() {
    const moment = model.get("moment");
    if (moment >= 0) reader = moment;
    names.forEach((_, which) => {
      const display = moment < 0 || which === moment ? "" : "none";
      blocks[which].parentElement.style.display = panels[which].style.display = display;
    });
    update();
  }

  // The panel stays beside the block in use, for seven blocks are taller than a screen.
  function follow() {
    side.style.marginTop = "0px";
    if (model.get("moment") >= 0) return;  // one block is not out of sight
    const room = frame.offsetHeight - side.offsetHeight;
    const wish = heads[reader].offsetTop - frame.offsetTop;
    side.style.marginTop = `${Math.max(0, Math.min(room, wish))}px`;
  }

  function point(event) {
    const cell = event.target.closest("[data-at]");
    if (!cell || (Number(cell.dataset.at) === place && Number(cell.dataset.reader) === reader)) return;
    place = Number(cell.dataset.at);
    reader = Number(cell.dataset.reader);
    update();
  }
  function move(event) {
    const step = arrowStep(event);
    if (!step) return;
    place = (place + step[1] + size) % size;
    if (model.get("moment") < 0) reader = (reader + step[0] + names.length) % names.length;
    else {
      model.set("moment", Math.max(0, Math.min(names.length - 1, reader - step[0])));  // up is later
      model.save_changes();
    }
    update();
    if (event.key === "ArrowUp" || event.key === "ArrowDown") blocks[reader].parentElement.scrollIntoView({ block: "nearest" });
  }
  frame.addEventListener("mouseover", point);
  frame.addEventListener("click", (event) => { frame.focus({ preventScroll: true }); point(event); });
  frame.addEventListener("keydown", move);
  const resized = new ResizeObserver(follow);
  resized.observe(frame);
  model.on("change:moment", show);
  show();
  return () => {
    resized.disconnect();
    model.off("change:moment", show);
  };
}

export default { render };
