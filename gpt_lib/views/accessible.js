// The handle of a slider, which is what a reader moves, has no name to be spoken: it is given
// the slider's label.
function nameHandles(form, valueObserver) {
  for (const handle of form.querySelectorAll(".widget-slider .noUi-handle")) {
    handle.setAttribute("aria-label", handle.closest(".widget-slider").querySelector("label").textContent);
    valueObserver.observe(handle, { attributeFilter: ["aria-valuetext"] });
  }
}

// A slider makes 0.9000000000000001 of 0.9, and that would be read out.
function shortenValue({ target }) {
  const value = target.getAttribute("aria-valuetext"), short = shortest(Number(value));
  if (value !== short) target.setAttribute("aria-valuetext", short);
}

// Menus and radio buttons let their keys go on to Lab, which moves to another cell.
function keepKeysOfControls(event) {
  if (event.target.matches("select, input[type=radio]")) keepKeys(event);
}

function render({ el }) {
  let form = null;
  const valueObserver = new MutationObserver((changes) => changes.forEach(shortenValue));
  // The other controls come to the page one by one: whatever is new is repaired.
  const childObserver = new MutationObserver(() => nameHandles(form, valueObserver));
  const visibilityObserver = new IntersectionObserver(() => {
    form = el.closest(".gpt-accessible");
    if (!form) return;
    visibilityObserver.disconnect();
    form.addEventListener("keydown", keepKeysOfControls);
    childObserver.observe(form, { childList: true, subtree: true });
    nameHandles(form, valueObserver);
  });
  visibilityObserver.observe(el);
  return () => {
    [visibilityObserver, childObserver, valueObserver].forEach((observer) => observer.disconnect());
    form?.removeEventListener("keydown", keepKeysOfControls);
  };
}

export default { render };
