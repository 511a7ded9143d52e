// Draws the curves once; a new moment only moves the marker and changes the sample.
const WIDTH = 460, HEIGHT = 260, PLOT = { left: 46, right: 438, top: 10, bottom: 218 };
const DASHES = ["none", "7 4", "8 3 2 3", "2 3", "12 3", "5 2 2 2 2 2"], MARK = "#D55E00";
const SHORT = 40;  // characters of a sample in the sentence
const PLAY_MS = 600;

function shape(parent, tag, attributes, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  parent.append(node);
  return node;
}

// From numbers between the first and the last tick to places on the page.
function scaleOf(ticks, from, to) {
  const low = ticks[0], span = ticks[ticks.length - 1] - low;
  return (value) => from + ((value - low) / span) * (to - from);
}

function drawAxes(svg, model, x, y) {
  const { left, right, top, bottom } = PLOT, [x_label, y_label] = model.get("labels");
  for (const tick of model.get("x_ticks")) {
    shape(svg, "path", { d: `M${x(tick)} ${bottom}v5`, stroke: "black" });
    shape(svg, "text", { x: x(tick), y: bottom + 18, "text-anchor": "middle" }, shortest(tick));
  }
  for (const tick of model.get("y_ticks")) {
    shape(svg, "path", { d: `M${left} ${y(tick)}H${right}`, stroke: "#ddd" });
    shape(svg, "text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, shortest(tick));
  }
  shape(svg, "path", { d: `M${left} ${top}V${bottom}H${right}`, stroke: "black", fill: "none" });
  shape(svg, "text", { x: (left + right) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, x_label);
  shape(svg, "text", { x: -(top + bottom) / 2, y: 13, "text-anchor": "middle", transform: "rotate(-90)" }, y_label);
}

// Losses fall, so the legend has room at the top right.
function drawLegend(svg, rank, label) {
  const y = PLOT.top + 12 + 17 * rank;
  const halo = { stroke: "white", "stroke-width": 4, "paint-order": "stroke" };  // over the marker
  shape(svg, "text", { x: PLOT.right - 40, y: y + 4, "text-anchor": "end", ...halo }, label);
  return { from: PLOT.right - 34, to: PLOT.right, y };
}

function drawCurves(svg, model, x, y) {
  const colors = model.get("colors"), names = model.get("names");
  model.get("curves").forEach((bytes, which) => {
    const points = new Float32Array(bytesOf(bytes));
    let d = "";
    for (let at = 0; at < points.length; at += 2) d += `${at ? "L" : "M"}${x(points[at])} ${y(points[at + 1])}`;
    const look = { fill: "none", stroke: colors[which % colors.length], "stroke-width": 2, "stroke-dasharray": DASHES[which % DASHES.length] };
    shape(svg, "path", { d, ...look });
    const place = drawLegend(svg, which, names[which]);
    shape(svg, "path", { d: `M${place.from} ${place.y}H${place.to}`, ...look });
  });
  model.get("steps").forEach((step, at) => shape(svg, "circle", { cx: x(step), cy: y(model.get("means")[at]), r: 3 }));
  const place = drawLegend(svg, names.length, model.get("labels")[2]);
  shape(svg, "circle", { cx: (place.from + place.to) / 2, cy: place.y, r: 3 });
}

function drawPlot(parent, model, x, y) {
  const svg = shape(parent, "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `Loss curve: ${model.get("title")}` });
  svg.classList.add("gpt-curve");
  svg.style.cssText = "width:100%;max-width:600px;background:white;font:12px var(--jp-ui-font-family,sans-serif);cursor:pointer;user-select:none";
  drawAxes(svg, model, x, y);
  const marker = shape(svg, "path", { stroke: MARK, "stroke-width": 1.5 });
  drawCurves(svg, model, x, y);
  const dot = shape(svg, "circle", { r: 6, fill: MARK, stroke: "white", "stroke-width": 1.5 });
  return { svg, marker, dot };
}

function addSample(parent) {
  // As high as the plot beside it, however long the text: the page must not jump.
  const box = element(parent, "div", "position:relative;min-height:200px");
  const sample = element(box, "div", "position:absolute;inset:0;overflow:auto;box-sizing:border-box;padding:6px 8px;white-space:pre-wrap;"
    + "overflow-wrap:anywhere;line-height:1.4;font-family:var(--jp-code-font-family,monospace);border:1px solid var(--jp-border-color1,#999)");
  sample.className = "gpt-sample";
  sample.tabIndex = 0;
  sample.setAttribute("role", "region");
  sample.setAttribute("aria-label", "What the chosen checkpoint wrote");
  sample.addEventListener("keydown", keepKeys);
  return sample;
}

function addControls(parent, last) {
  const box = element(parent, "div", "display:flex;flex-wrap:wrap;gap:6px 12px;align-items:center;margin:8px 0 4px");
  const play = element(box, "button", "width:6.5em;padding:3px 0;cursor:pointer");
  const label = element(box, "label", "display:flex;flex:1 1 260px;gap:8px;align-items:center", "Checkpoint");
  const slider = element(label, "input", "flex:1;min-width:0");
  slider.type = "range";
  slider.max = last;
  slider.setAttribute("aria-label", "Checkpoint");
  slider.addEventListener("keydown", keepKeys);
  const readout = element(box, "b", "min-width:11em;font-variant-numeric:tabular-nums");
  return { play, slider, readout };
}

function render({ model, el }) {
  const steps = model.get("steps"), means = model.get("means"), samples = model.get("samples");
  const last = steps.length - 1;
  const x = scaleOf(model.get("x_ticks"), PLOT.left, PLOT.right);
  const y = scaleOf(model.get("y_ticks"), PLOT.bottom, PLOT.top);
  let timer = 0;

  element(el, "div", "font-weight:600", model.get("title"));
  element(el, "div", "opacity:.8;margin-bottom:6px", "Move the slider, or click on the curve, to choose a checkpoint.");
  const body = element(el, "div", "display:grid;gap:8px 16px;grid-template-columns:repeat(auto-fit,minmax(min(340px,100%),1fr))");
  const { svg, marker, dot } = drawPlot(body, model, x, y);
  const sample = addSample(body);
  const { play, slider, readout } = addControls(el, last);
  const sentence = element(el, "div", "font-variant-numeric:tabular-nums");
  sentence.className = "gpt-sentence";
  sentence.setAttribute("aria-live", "polite");

  function show() {
    const moment = model.get("moment"), step = steps[moment], loss = means[moment].toFixed(2);
    marker.setAttribute("d", `M${x(step)} ${PLOT.top}V${PLOT.bottom}`);
    dot.setAttribute("cx", x(step));
    dot.setAttribute("cy", y(means[moment]));
    slider.value = moment;
    readout.textContent = `step ${step} · loss ${loss}`;
    slider.setAttribute("aria-valuetext", `step ${step}, loss ${loss}`);
    sample.textContent = samples[moment];
    sample.scrollTop = 0;
    const wrote = samples[moment].trim().replaceAll("\n", " ");
    const begin = wrote.length > SHORT ? `${wrote.slice(0, SHORT)}…` : wrote;
    sentence.textContent = `step ${step} of ${steps[last]}: loss ${loss} nats a character on this passage; sample: “${begin}”`;
  }

  function choose(moment) {
    model.set("moment", moment);
    model.save_changes();
  }
  function pointAt(event) {
    if (!event.buttons) return;
    const box = svg.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * WIDTH;
    const away = steps.map((step) => Math.abs(x(step) - place));
    choose(away.indexOf(Math.min(...away)));
  }
  function setPlaying(playing) {
    clearInterval(timer);
    timer = playing ? setInterval(playOn, PLAY_MS) : 0;
    play.textContent = playing ? "❚❚ Pause" : "▶ Play";
    sentence.ariaLive = playing ? "off" : "polite";  // nobody can listen as fast
  }
  function playOn() {
    const next = model.get("moment") + 1;
    if (next >= last) setPlaying(false);
    choose(Math.min(next, last));
  }
  function startOrPause() {
    if (!timer && model.get("moment") === last) choose(0);
    setPlaying(!timer);
  }
  slider.addEventListener("input", () => choose(Number(slider.value)));
  play.addEventListener("click", startOrPause);
  svg.addEventListener("pointerdown", pointAt);
  svg.addEventListener("pointermove", pointAt);
  model.on("change:moment", show);
  setPlaying(false);
  show();
  return () => {
    clearInterval(timer);
    model.off("change:moment", show);
  };
}

export default { render };
