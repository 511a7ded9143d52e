// A long text must grow ten times a second: spans are added and removed only from the first
// token that differs, and the text is cut at line ends into blocks that are laid out alone.
const LONG = 200;  // tokens in a block, at least
const FRAME = "0 0 0 2px #D55E00, 0 0 0 3px white";
const FORK = "url(\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 10 10'>"
  + "<path d='M5 10V6L1 1M5 6L9 1' fill='none' stroke='black' stroke-width='2'/></svg>\")";
// Signs are drawn by ::before and ::after, so that who copies the text does not copy them.
const RULES = `
.gpt-tokens { white-space:break-spaces; overflow-wrap:anywhere; line-height:1.6; padding:8px;
  min-height:5em; max-height:24em; overflow:auto; box-sizing:border-box;
  contain:layout paint style inline-size;  /* else Lab's flexboxes lay the text out 20 times */
  font-family:var(--jp-code-font-family,monospace); border:1px solid var(--jp-border-color1,#999); }
.gpt-tokens:focus-visible { outline:2px solid var(--jp-brand-color1,#0072B2); outline-offset:-2px; }
.gpt-tokens.gpt-shaded { background:#fff; color:#000; }
.gpt-tokens > div { isolation:isolate; }  /* a block that did not change is not painted again */
.gpt-prompt { opacity:.75; text-decoration:underline dotted; }
.gpt-token, .gpt-next { cursor:pointer; border-radius:1px; box-decoration-break:clone; -webkit-box-decoration-break:clone; }
.gpt-token:hover, .gpt-next:hover { outline:1px solid currentColor; }
.gpt-tokens .gpt-newline::before { content:"↵"; opacity:.45; }
.gpt-tokens .gpt-token:empty::before { content:"∅"; opacity:.45; }
.gpt-tokens .gpt-next::before { content:"▯"; opacity:.8; }
.gpt-tokens .gpt-fork { position:relative; }
.gpt-tokens .gpt-fork::after { content:""; position:absolute; left:-1px; top:-.45em; width:.65em; height:.65em;
  background:#D55E00; mask:${FORK} center/contain no-repeat; filter:drop-shadow(0 0 1px #fff); }
.gpt-tokens .gpt-selected { box-shadow:${FRAME}; position:relative; z-index:1; }
.gpt-tokens .gpt-selected::before { opacity:1; }
.gpt-ask[inert] { opacity:.5; }`;

const GONE = "The kernel that ran this cell is gone: run the cell again.";

// Learns that the kernel is gone. A restart or a crash ends every model's comm; a shutdown
// or another kernel is seen on Lab's session alone; and a restart in another browser tab only
// by a new process that answers. Once a model: a view drawn later knows the end as well.
function initialize({ model }) {
  const session = model.widget_manager?.context?.sessionContext;
  let process = null;
  const end = () => model.set("ended", true);
  const seeKernel = (_, change) => { if (change.oldValue) end(); };
  const seeMessage = (_, { header }) => {
    if (header.msg_type !== "status") return;
    process ??= header.session;
    if (header.session !== process) end();
  };
  model.on("comm_live_update", end);
  session?.kernelChanged.connect(seeKernel);
  session?.iopubMessage.connect(seeMessage);
  return () => {
    model.off("comm_live_update", end);
    session?.kernelChanged.disconnect(seeKernel);
    session?.iopubMessage.disconnect(seeMessage);
  };
}

// The controls beside the text belong to other widgets, which do not learn that nobody hears
// them: ipywidgets' buttons raise errors, its sliders stay silent.
function switchOff(el) {
  const all = el.closest(".gpt-workbench")?.querySelectorAll(".gpt-ask") ?? [];
  for (const box of all) box.inert = true;
}

function visible(token) {
  return token.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥");
}

function piece(text) {
  const span = document.createElement("span");
  span.textContent = text;
  if (text.startsWith("\n")) span.className = "gpt-newline";
  return span;
}

// Over plain http there is no navigator.clipboard.
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = element(document.body, "textarea", "position:fixed;opacity:0", text);
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

function drawLegend(parent, model) {
  const line = element(parent, "div", "display:flex;flex-wrap:wrap;gap:4px;align-items:center;margin:4px 0 8px");
  element(line, "span", "opacity:.8", "surprise in nats:");
  model.get("legend").forEach((label, step) =>
    element(line, "span", `background:#fff;color:#000;padding:0 8px;border:1px solid #888;${model.get("styles")[step]}`, label));
  return line;
}

function render({ model, el }) {
  const limits = model.get("edges").map((nats) => Math.exp(-nats));
  const styles = model.get("styles").map((style, step) => `.gpt-shaded .gpt-shade-${step} {${style}}`);
  let tokens = [], chances = new Float32Array(), bytes = null, shades = [], framed = null, forked = [];

  element(el, "style", "", RULES + styles.join("\n"));
  const alert = element(el, "div", "font-weight:600;margin-bottom:4px");
  alert.setAttribute("role", "alert");
  if (model.get("title")) element(el, "div", "font-weight:600;margin-bottom:4px", model.get("title"));
  const box = element(el, "div", "");
  box.className = "gpt-tokens";
  box.tabIndex = 0;
  box.setAttribute("role", "application");
  const first = element(box, "div", "");
  const prompt = element(first, "span", "");
  prompt.className = "gpt-prompt";
  const next = piece("");
  next.className = "gpt-next";
  first.append(next);
  const spans = [next];  // one a token, then the frame of the next
  const sentence = element(el, "div", "margin:6px 0;min-height:1.4em;font-variant-numeric:tabular-nums");
  sentence.className = "gpt-sentence";
  sentence.setAttribute("aria-live", "polite");
  const controls = element(el, "div", "display:flex;flex-wrap:wrap;gap:6px 8px;align-items:center");
  const [copyButton, saveButton] = ["Copy", "Save"].map((name) => {
    const button = element(controls, "button", "width:auto;padding:0 14px", name);
    button.className = "jupyter-widgets jupyter-button";
    return button;
  });
  const choice = element(controls, "label", "display:flex;gap:6px;align-items:center");
  const shading = element(choice, "input", "margin:0");
  shading.type = "checkbox";
  choice.append("shade by surprise");
  const status = element(controls, "span", "");
  status.setAttribute("role", "status");
  const key = drawLegend(el, model);

  function append(span) {
    const before = box.lastChild;
    const full = before.childElementCount > LONG && before.lastChild.textContent.endsWith("\n");
    (full ? element(box, "div", "") : before).append(span);
  }
  function remove(span) {
    const block = span.parentElement;
    span.remove();
    if (block !== first && !block.childElementCount) block.remove();
  }

  function drawTokens() {
    const wanted = model.get("tokens");
    if (wanted === tokens) return;
    const followed = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
    let same = 0;
    while (same < tokens.length && tokens[same] === wanted[same]) same++;
    spans.splice(same).forEach(remove);
    shades.length = same;
    for (let at = same; at < wanted.length; at++) {
      const span = piece(wanted[at]);
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
    bytes = null;  // new tokens want their shades
    if (followed && (grown || model.get("writing"))) box.scrollTop = box.scrollHeight;
    else if (!same) box.scrollTop = 0;
  }

  function drawShades() {
    if (model.get("chances") === bytes) return;
    bytes = model.get("chances");
    chances = new Float32Array(bytesOf(bytes));
    tokens.forEach((_, at) => {
      const chance = at < chances.length ? chances[at] : NaN;
      const shade = Number.isNaN(chance) ? limits.length + 1 : limits.filter((limit) => chance <= limit).length;
      if (shade === shades[at]) return;
      spans[at].classList.remove(`gpt-shade-${shades[at]}`);
      spans[at].classList.add(`gpt-shade-${shade}`);
      shades[at] = shade;
    });
  }

  function mark(span, name, title, on) {
    span.classList.toggle(name, on);
    span.title = on ? title : "";
  }
  function drawForks() {
    for (const span of forked) mark(span, "gpt-fork", "", false);
    forked = model.get("forks").filter((at) => spans[at]).map((at) => spans[at]);
    for (const span of forked) mark(span, "gpt-fork", "another branch starts here", true);
  }

  function drawSelected() {
    const span = spans[model.get("selected")] ?? null;
    if (span === framed) return;
    framed?.classList.remove("gpt-selected");
    span?.classList.add("gpt-selected");
    framed = span;
    if (!span) return;
    const [edge, at] = [box.getBoundingClientRect(), span.getBoundingClientRect()];
    if (at.top < edge.top + 8) box.scrollTop -= edge.top + 8 - at.top;
    if (at.bottom > edge.bottom - 8) box.scrollTop += at.bottom - edge.bottom + 8;
  }

  function words() {
    const at = model.get("selected");
    if (model.get("writing") && !model.get("ended")) return "";
    if (!spans[at]) return tokens.length ? "Click on a token, or use the arrow keys." : "";
    const branch = model.get("forks").includes(at) ? "; another branch starts here" : "";
    if (at === tokens.length) return `token ${at + 1}, the next one: not yet written${branch}`;
    const chance = at < chances.length && !Number.isNaN(chances[at]) ? `: the model gave it ${percent(chances[at])}` : "";
    return `token ${at + 1} of ${tokens.length}, “${visible(tokens[at])}”${chance}${branch}`;
  }

  function say(place, text) {
    if (place.textContent !== text) place.textContent = text;  // else it is read out again
  }
  function update() {
    if (prompt.textContent !== model.get("prompt"))
      prompt.replaceChildren(...model.get("prompt").split(/(?=\n)/).map(piece));
    drawTokens();
    drawShades();
    drawForks();
    drawSelected();
    say(sentence, words());
    say(alert, model.get("ended") ? GONE : "");
    if (model.get("ended")) switchOff(el);
    box.setAttribute("aria-label", `${model.get("label")}. Arrow keys choose a token, which is read below; Escape chooses none.`);
    box.setAttribute("aria-busy", model.get("writing") && !model.get("ended"));
    box.classList.toggle("gpt-shaded", model.get("shaded"));
    shading.checked = model.get("shaded");
    shading.disabled = !chances.length;
    key.style.display = model.get("shaded") ? "flex" : "none";
    key.lastChild.style.display = shades.includes(limits.length + 1) ? "" : "none";
    copyButton.disabled = saveButton.disabled = !tokens.length || !model.get("record");
  }

  function put(name, value) {
    model.set(name, value);
    if (!model.get("ended")) model.save_changes();
  }

  let column = null;  // where a walk up or down began, across shorter lines
  function spotOf(span) { return span.getClientRects()[0] ?? span.getBoundingClientRect(); }
  // The nearest token that begins in the next line up or down; `at` where there is none.
  function inLine(at, step) {
    const from = spotOf(spans[at]);
    let best = at, nearest = Infinity, line = null;
    column ??= from.left;
    for (let other = at + step; spans[other]; other += step) {
      const spot = spotOf(spans[other]);
      if (Math.abs(spot.bottom - from.bottom) < from.height / 2) continue;
      line ??= spot.bottom;
      if (Math.abs(spot.bottom - line) >= from.height / 2) break;
      const far = Math.abs(spot.left - column);
      if (far < nearest) [best, nearest] = [other, far];
    }
    return best;
  }
  function stepped([down, right]) {
    const at = model.get("selected");
    if (!spans[at]) return down + right > 0 ? 0 : tokens.length;
    if (down) return inLine(at, down);
    column = null;
    return Math.max(0, Math.min(tokens.length, at + right));
  }
  function move(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const place = { Home: 0, End: tokens.length, Escape: -1 }[event.key];
    const step = place === undefined ? arrowStep(event) : null;
    if (place === undefined && !step) return;
    event.preventDefault();
    event.stopPropagation();
    if (!step) column = null;
    put("selected", step ? stepped(step) : place);
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
  copyButton.addEventListener("click", async () => {
    status.textContent = "";
    await copy(model.get("record")).then(() => say(status, "copied"), (error) => say(status, `not copied: ${error.message}`));
  });
  saveButton.addEventListener("click", () => {
    download(model.get("record"), model.get("filename"));
    say(status, `saved as ${model.get("filename")}`);
  });
  model.on("change", update);
  update();
  return () => model.off("change", update);
}

export default { initialize, render };
