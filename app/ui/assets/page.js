// Carries presses on links that Python drew as HTML back to Python, copies text, and keeps times like "4 min ago" true.
// Every value it reads was written by our own HTML; it inserts text only.
const UNITS = [[60, "min", 3570], [3600, "h", 84600], [86400, "day", 2592000]];

function words(at) {
  const seconds = (Date.now() - at) / 1000;
  const far = Math.abs(seconds);
  if (far < 45) return "just now";
  for (const [size, name, limit] of UNITS) {
    if (far < limit) {
      const count = Math.max(1, Math.round(far / size));
      const said = `${count} ${name}${name === "day" && count !== 1 ? "s" : ""}`;
      return seconds > 0 ? `${said} ago` : `in ${said}`;
    }
  }
  return null;
}

function refresh() {
  for (const time of document.querySelectorAll("time.sb-ago")) {
    const said = words(Date.parse(time.dateTime));
    if (said && time.textContent !== said) time.textContent = said;
  }
}

// A conversation opens at its end, and an answer that grows is kept in sight for whoever has not scrolled away from it.
const place = { chat: "", questions: 0, atEnd: true, until: 0 };

function main() {
  return document.querySelector('[data-testid="stMain"]');
}

function scrolled() {
  const box = main();
  if (box && Date.now() > place.until) place.atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 80;
}

function keepInSight() {
  const marker = document.querySelector(".sb-chatpage");
  if (!marker) return;
  const questions = document.querySelectorAll(".sb-q").length;
  if (marker.dataset.chat !== place.chat || questions > place.questions) {
    place.atEnd = true;
    place.until = Date.now() + 1200;
  }
  place.chat = marker.dataset.chat;
  place.questions = questions;
  const growing = document.querySelector(".sb-pulse") || Date.now() < place.until;
  if (growing && place.atEnd && questions) main()?.scrollTo({ top: main().scrollHeight });
}

async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.style.position = "fixed";
  area.style.opacity = "0";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

// What was typed is sent when its field loses the focus. Were that when a press begins, the page could be drawn anew before the
// press ends, a tenth of a second later, and the press would fall on nothing. So the field keeps the focus until then.
const PRESSED = ".stButton button, .stFormSubmitButton button, .stDownloadButton button, a[data-sb]";
const TYPED = ".stTextInput, .stTextArea, .stNumberInput";

function typing(event) {
  const pressed = event.target.closest?.(PRESSED);
  const field = document.activeElement;
  return pressed && !pressed.disabled && field?.closest(TYPED) ? { pressed, field } : null;
}

function pressBegins(event) {
  if (event.button === 0 && typing(event)) event.preventDefault();
}

function pressEnds(event) {
  const found = event.isTrusted && event.detail > 0 && typing(event);
  if (!found) return;
  found.field.blur();
  found.pressed.focus();
}

export default function ({ data, setTriggerValue }) {
  const pressed = (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const link = event.target.closest?.("a[data-sb]");
    if (link && data.kinds.includes(link.dataset.sb.split(":")[0])) {
      event.preventDefault();
      setTriggerValue("pressed", link.dataset.sb);
      return;
    }
    const button = event.target.closest?.("button[data-copy]");
    if (button) {
      const code = button.dataset.copy === "code";
      const label = button.textContent;
      copy(code ? button.parentElement.querySelector("code").textContent : decodeURIComponent(button.dataset.text)).then(() => {
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = label; }, 1500);
      });
    }
  };
  document.addEventListener("click", pressed);
  document.addEventListener("mousedown", pressBegins, true);
  document.addEventListener("click", pressEnds, true);
  document.addEventListener("scroll", scrolled, true);
  refresh();
  keepInSight();
  const timer = setInterval(refresh, 20000);
  let queued = false;
  const watcher = new MutationObserver(() => {
    if (queued) return;
    queued = true;
    requestAnimationFrame(() => { queued = false; refresh(); keepInSight(); });
  });
  watcher.observe(document.body, { childList: true, subtree: true });
  return () => {
    document.removeEventListener("click", pressed);
    document.removeEventListener("mousedown", pressBegins, true);
    document.removeEventListener("click", pressEnds, true);
    document.removeEventListener("scroll", scrolled, true);
    clearInterval(timer);
    watcher.disconnect();
  };
}
