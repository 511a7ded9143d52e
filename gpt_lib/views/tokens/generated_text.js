// A long text must grow ten times a second: spans are added and removed only from the first
// token that differs, and the text is cut at line ends into blocks that are laid out alone.
const MIN_BLOCK = 200;  // tokens
const GONE = "The kernel that ran this cell is gone: run the cell again.";

// Learns that the kernel is gone. A restart or a crash ends every model's comm; a shutdown
// or another kernel is seen on Lab's session alone; and a restart in another browser tab only
// by a new process that answers. Once a model: a view drawn later knows the end as well.
function initialize({ model }) {
  const session = model.widget_manager?.context?.sessionContext;
  let process = null;
  const end = () => model.set("ended", true);
  const handleKernel = (_, change) => { if (change.oldValue) end(); };
  const handleMessage = (_, { header }) => {
    if (header.msg_type !== "status") return;
    process ??= header.session;
    if (header.session !== process) end();
  };
  model.on("comm_live_update", end);
  session?.kernelChanged.connect(handleKernel);
  session?.iopubMessage.connect(handleMessage);
  return () => {
    model.off("comm_live_update", end);
    session?.kernelChanged.disconnect(handleKernel);
    session?.iopubMessage.disconnect(handleMessage);
  };
}

// The controls beside the text belong to other widgets, which do not learn that the kernel is
// gone: ipywidgets' buttons raise errors, its sliders stay silent.
function switchOff(el) {
  const boxes = el.closest(".gpt-workbench")?.querySelectorAll(".gpt-ask") ?? [];
  for (const box of boxes) box.inert = true;
}

function visibleText(token) {
  return token.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥");
}

function makeSpan(text) {
  const span = document.createElement("span");
  span.textContent = text;
  if (text.startsWith("\n")) span.className = "gpt-newline";
  return span;
}

// Over plain http there is no navigator.clipboard.
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = element(document.body, "textarea", "gpt-off-screen", text);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("the browser refused");
}

function download(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

function addControls(parent) {
  const controls = element(parent, "div", "gpt-text-controls");
  const [copy_button, save_button] = ["Copy", "Save"].map((name) =>
    element(controls, "button", "jupyter-widgets jupyter-button", name));
  const choice = element(controls, "label"), shading = element(choice, "input");
  shading.type = "checkbox";
  choice.append("shade by surprisal");
  const status = element(controls, "span");
  status.setAttribute("role", "status");
  return { copy_button, save_button, shading, status };
}

// The first position of a span in the page: of a token that is broken over lines.
function spotOf(span) {
  return span.getClientRects()[0] ?? span.getBoundingClientRect();
}

// The nearest token that begins in the next line up or down; `at` where there is none.
function inNextLine(spans, at, step, column) {
  const from = spotOf(spans[at]);
  let best = at, nearest = Infinity, line = null;
  for (let other = at + step; spans[other]; other += step) {
    const spot = spotOf(spans[other]);
    if (Math.abs(spot.bottom - from.bottom) < from.height / 2) continue;
    line ??= spot.bottom;
    if (Math.abs(spot.bottom - line) >= from.height / 2) break;
    const distance = Math.abs(spot.left - column);
    if (distance < nearest) [best, nearest] = [other, distance];
  }
  return best;
}

function render({ model, el }) {
  const limits = model.get("edges").map((nats) => Math.exp(-nats)), unknown_shade = limits.length + 1;
  let tokens = [], probabilities = new Float32Array(), encoded = null, shades = [], framed = null, forked = [];

  el.classList.add("gpt-view");
  const alert = element(el, "div", "gpt-alert");
  alert.setAttribute("role", "alert");
  if (model.get("title")) element(el, "div", "gpt-title", model.get("title"));
  const box = addFocusFrame(el, "gpt-generated-text", "");
  const first = element(box, "div"), prompt = element(first, "span", "gpt-prompt"), next = makeSpan("");
  next.className = "gpt-next";
  first.append(next);
  const spans = [next];  // one a token, then the frame of the next
  const sentence = addSentence(el);
  sentence.classList.add("gpt-token-sentence");
  const { copy_button, save_button, shading, status } = addControls(el);
  const legend = addLegend(el, "surprisal", model.get("legend"));

  function append(span) {
    const last = box.lastChild;
    const full = last.childElementCount > MIN_BLOCK && last.lastChild.textContent.endsWith("\n");
    (full ? element(box, "div") : last).append(span);
  }
  function remove(span) {
    const block = span.parentElement;
    span.remove();
    if (block !== first && !block.childElementCount) block.remove();
  }

  function drawTokens() {
    const wanted = model.get("tokens");
    if (wanted === tokens) return;
    const at_end = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
    let same = 0;
    while (same < tokens.length && tokens[same] === wanted[same]) same++;
    spans.splice(same).forEach(remove);
    shades.length = same;
    for (let at = same; at < wanted.length; at++) {
      const span = makeSpan(wanted[at]);
      span.classList.add("gpt-token");
      spans.push(span);
    }
    spans.push(next);
    for (let at = same; at < spans.length; at++) {
      spans[at].dataset.at = at;
      append(spans[at]);
    }
    const grown = tokens.length && same === tokens.length;
    tokens = wanted;
    say(status, "");
    encoded = null;  // new tokens need their shades
    if (at_end && (grown || model.get("writing"))) box.scrollTop = box.scrollHeight;
    else if (!same) box.scrollTop = 0;
  }

  function drawShades() {
    if (model.get("probabilities") === encoded) return;
    encoded = model.get("probabilities");
    probabilities = floatsOf(encoded);
    tokens.forEach((_, at) => {
      const probability = at < probabilities.length ? probabilities[at] : NaN;
      const shade = Number.isNaN(probability) ? unknown_shade : limits.filter((limit) => probability <= limit).length;
      if (shade === shades[at]) return;
      spans[at].classList.remove(`gpt-shade-${shades[at]}`);
      spans[at].classList.add(`gpt-shade-${shade}`);
      shades[at] = shade;
    });
  }

  function markFork(span, on) {
    span.classList.toggle("gpt-fork", on);
    span.title = on ? "another branch starts here" : "";
  }
  function drawForks() {
    for (const span of forked) markFork(span, false);
    forked = model.get("forks").filter((at) => spans[at]).map((at) => spans[at]);
    for (const span of forked) markFork(span, true);
  }

  function drawSelected() {
    const span = spans[model.get("selected")] ?? null;
    if (span === framed) return;
    framed?.classList.remove("gpt-selected");
    span?.classList.add("gpt-selected");
    framed = span;
    if (!span) return;
    const [edge, spot] = [box.getBoundingClientRect(), span.getBoundingClientRect()];
    if (spot.top < edge.top + 8) box.scrollTop -= edge.top + 8 - spot.top;
    if (spot.bottom > edge.bottom - 8) box.scrollTop += spot.bottom - edge.bottom + 8;
  }

  function describeSelected() {
    const at = model.get("selected");
    if (model.get("writing") && !model.get("ended")) return "";
    if (!spans[at]) return tokens.length ? "Click on a token, or use the arrow keys." : "";
    const branch = model.get("forks").includes(at) ? "; another branch starts here" : "";
    if (at === tokens.length) return `token ${at + 1}, the next one: not yet written${branch}`;
    const known = at < probabilities.length && !Number.isNaN(probabilities[at]);
    const probability = known ? `: the model gave it ${percent(probabilities[at])}` : "";
    return `token ${at + 1} of ${tokens.length}, “${visibleText(tokens[at])}”${probability}${branch}`;
  }

  function update() {
    if (prompt.textContent !== model.get("prompt"))
      prompt.replaceChildren(...model.get("prompt").split(/(?=\n)/).map(makeSpan));
    drawTokens();
    drawShades();
    drawForks();
    drawSelected();
    say(sentence, describeSelected());
    say(alert, model.get("ended") ? GONE : "");
    if (model.get("ended")) switchOff(el);
    box.setAttribute("aria-label", `${model.get("label")}. Arrow keys choose a token, which is read below; Escape chooses none.`);
    box.setAttribute("aria-busy", model.get("writing") && !model.get("ended"));
    box.classList.toggle("gpt-shaded", model.get("shaded"));
    shading.checked = model.get("shaded");
    shading.disabled = !probabilities.length;
    legend.hidden = !model.get("shaded");
    legend.lastChild.hidden = !shades.includes(unknown_shade);
    copy_button.disabled = save_button.disabled = !tokens.length || !model.get("record");
  }

  function put(name, value) {
    if (model.get("ended")) model.set(name, value);
    else save(model, name, value);
  }

  let column = null;  // where a walk up or down began, across shorter lines
  function nextSelected([down, right]) {
    const at = model.get("selected");
    if (!spans[at]) return down + right > 0 ? 0 : tokens.length;
    if (down) return inNextLine(spans, at, down, column ??= spotOf(spans[at]).left);
    column = null;
    return clamp(at + right, 0, tokens.length);
  }
  function move(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const target = { Home: 0, End: tokens.length, Escape: -1 }[event.key];
    const step = target === undefined ? arrowStep(event) : null;
    if (target === undefined && !step) return;
    keepKey(event);
    if (!step) column = null;
    put("selected", step ? nextSelected(step) : target);
  }
  function point(event) {
    const span = event.target.closest("[data-at]");
    box.focus({ preventScroll: true });
    column = null;
    if (span) put("selected", Number(span.dataset.at));
  }

  box.addEventListener("click", point);
  box.addEventListener("keydown", move);
  shading.addEventListener("change", () => put("shaded", shading.checked));
  copy_button.addEventListener("click", async () => {
    status.textContent = "";
    await copy(model.get("record")).then(() => say(status, "copied"), (error) => say(status, `not copied: ${error.message}`));
  });
  save_button.addEventListener("click", () => {
    download(model.get("record"), model.get("filename"));
    say(status, `saved as ${model.get("filename")}`);
  });
  model.on("change", update);
  update();
  return () => model.off("change", update);
}

export default { initialize, render };
