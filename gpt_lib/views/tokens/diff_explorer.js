// Draws the rules once; the diff comes from Python, which is asked at each switch and each text.
const SIGNS = {
  "−": { mark: "del", name: "removed", look: "gpt-removed" },
  "+": { mark: "ins", name: "added", look: "gpt-added" },
};

const RETURN_SIGN = "⟨\\r⟩";

// The text field's model: an input would drop a carriage return, which has a sign instead.
function withReturnSigns(model) {
  return {
    get: (name) => model.get(name).replaceAll("\r", RETURN_SIGN),
    set: (name, value) => model.set(name, value.replaceAll(RETURN_SIGN, "\r")),
    save_changes: () => model.save_changes(),
  };
}

function addRule(parent, [name, purpose]) {
  const row = element(parent, "div", "gpt-rule"), label = element(row, "label");
  const box = element(label, "input");
  box.type = "checkbox";
  box.setAttribute("aria-label", `${name}: ${purpose}`);
  box.addEventListener("keydown", keepKeys);
  element(label, "b", "", name);
  element(label, "span", "", purpose);
  return { name, box, count: element(row, "span", "gpt-rule-count") };
}

function addDiffRow(parent, { sign, pieces }) {
  const { mark, name, look } = SIGNS[sign] ?? { mark: "b", name: "", look: "" };
  const row = element(parent, "div", `gpt-diff-row ${look}`);
  const label = element(row, "span", "gpt-diff-sign", sign);
  if (name) {
    label.setAttribute("role", "img");
    label.setAttribute("aria-label", name);
  }
  const line = element(row, "span", "gpt-diff-line"), tags = { plain: "span", marked: mark, note: "em" };
  line.dir = "auto";
  for (const [kind, text] of pieces) element(line, tags[kind], "", text);
}

function render({ model, el }) {
  const title = model.get("title");
  addHeader(el, title, "Switch rules on and off, or type a text of your own, with ↵ for a new line and "
    + `${RETURN_SIGN} for a carriage return. − is a line as it was, + as it became. What is struck through goes, what is underlined comes.`);
  const list = element(el, "div", "gpt-rules");
  list.setAttribute("role", "group");
  list.setAttribute("aria-label", "Rules");
  const rules = model.get("rules").map((rule) => addRule(list, rule));
  const field = addTextField(el, withReturnSigns(model));
  const sentence = addSentence(el);
  const frame = addFocusFrame(el, "gpt-diff", `${title}: the diff. Arrow keys scroll it.`, "region");

  function showSwitches() {
    for (const { name, box } of rules) box.checked = model.get("switched_on").includes(name);
  }
  function showCounts() {
    rules.forEach(({ count }, index) => { count.textContent = model.get("counts")[index]; });
  }
  function showRows() {
    frame.replaceChildren();
    for (const row of model.get("rows")) addDiffRow(frame, row);
  }
  function showSummary() { say(sentence, model.get("summary")); }
  function switchRules() {
    save(model, "switched_on", rules.filter(({ box }) => box.checked).map(({ name }) => name));
  }

  list.addEventListener("change", switchRules);
  frame.addEventListener("keydown", keepKeys);
  for (const show of [showSwitches, showCounts, showRows, showSummary]) show();
  return listen(model, { ...field.handlers, switched_on: showSwitches, counts: showCounts, rows: showRows, summary: showSummary });
}

export default { render };
