// Shows the loss curve, which Python drew; a new frame only moves a marker on it and changes
// the sample.
const SAMPLE_START = 40;  // characters of a sample in the sentence
const PLAY_MS = 600;

function addCurve(parent, model) {
  const curve = element(parent, "div", "gpt-curve"), image = element(curve, "img");
  image.src = model.get("image");
  image.alt = model.get("description");
  image.draggable = false;
  const [top, bottom] = model.get("plot"), line = element(curve, "div", "gpt-curve-line");
  line.style.top = `${100 * top}%`;
  line.style.height = `${100 * (bottom - top)}%`;
  return { curve, line, dot: element(curve, "div", "gpt-curve-dot") };
}

function addSample(parent) {
  // As high as the curve beside it, however long the text: the page must not jump.
  const sample = element(element(parent, "div", "gpt-sample-frame"), "div", "gpt-sample");
  sample.tabIndex = 0;
  sample.setAttribute("role", "region");
  sample.setAttribute("aria-label", "What the chosen checkpoint wrote");
  sample.addEventListener("keydown", keepKeys);
  return sample;
}

function addControls(parent, last) {
  const box = element(parent, "div", "gpt-scrubber-controls"), play = element(box, "button");
  const slider = document.createElement("input");
  slider.type = "range";
  slider.max = last;
  addLabelled(box, "Checkpoint", slider);
  return { play, slider, readout: element(box, "b") };
}

function render({ model, el }) {
  const steps = model.get("steps"), means = model.get("means"), samples = model.get("samples");
  const points = model.get("points"), last = steps.length - 1;
  let timer = 0;

  addHeader(el, model.get("title"), "Move the slider, or click on the curve, to choose a checkpoint.");
  const body = element(el, "div", "gpt-scrubber-columns");
  const { curve, line, dot } = addCurve(body, model), sample = addSample(body);
  const { play, slider, readout } = addControls(el, last), sentence = addSentence(el);

  function show() {
    const frame = model.get("frame"), step = steps[frame], loss = means[frame].toFixed(2), [x, y] = points[frame];
    line.style.left = dot.style.left = `${100 * x}%`;
    dot.style.top = `${100 * y}%`;
    slider.value = frame;
    readout.textContent = `step ${step} · loss ${loss}`;
    slider.setAttribute("aria-valuetext", `step ${step}, loss ${loss}`);
    sample.textContent = samples[frame];
    sample.scrollTop = 0;
    const text = samples[frame].trim().replaceAll("\n", " ");
    const start = text.length > SAMPLE_START ? `${text.slice(0, SAMPLE_START)}…` : text;
    sentence.textContent = `step ${step} of ${steps[last]}: loss ${loss} nats a token on this passage; sample: “${start}”`;
  }

  function choose(frame) { save(model, "frame", frame); }
  function pointAt(event) {
    if (!event.buttons) return;
    const box = curve.getBoundingClientRect(), pointed = (event.clientX - box.left) / box.width;
    const distances = points.map(([x]) => Math.abs(x - pointed));
    choose(distances.indexOf(Math.min(...distances)));
  }
  function setPlaying(playing) {
    clearInterval(timer);
    timer = playing ? setInterval(playNext, PLAY_MS) : 0;
    play.textContent = playing ? "❚❚ Pause" : "▶ Play";
    sentence.ariaLive = playing ? "off" : "polite";  // nobody can listen as fast
  }
  function playNext() {
    const next = model.get("frame") + 1;
    if (next >= last) setPlaying(false);
    choose(Math.min(next, last));
  }
  function startOrPause() {
    if (!timer && model.get("frame") === last) choose(0);
    setPlaying(!timer);
  }
  slider.addEventListener("input", () => choose(Number(slider.value)));
  play.addEventListener("click", startOrPause);
  curve.addEventListener("pointerdown", pointAt);
  curve.addEventListener("pointermove", pointAt);
  setPlaying(false);
  show();
  const unlisten = listen(model, { frame: show });
  return () => {
    clearInterval(timer);
    unlisten();
  };
}

export default { render };
