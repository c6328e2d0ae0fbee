"use strict";

const MOST_UNFOLDED = 30;
const form = document.getElementById("filter");
const words = form.elements.words;
const findings = [...document.querySelectorAll(".finding")];
const groups = [...document.querySelectorAll(".folder"), ...document.querySelectorAll("section.rule")];
const texts = new Map();
let at = -1;

const textOf = finding => {
  if (!texts.has(finding)) texts.set(finding, `${finding.dataset.rule} ${finding.textContent}`.toLowerCase());
  return texts.get(finding);
};
const isIn = (folder, chosen) => folder === chosen || chosen === "." || folder.startsWith(`${chosen}/`);
const shown = () => findings.filter(finding => !finding.hidden);
const fold = (all, open) => all.forEach(finding => { finding.firstElementChild.open = open; });

function narrow() {
  const { rule, category, fix, folder } = Object.fromEntries(new FormData(form));
  const sought = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const finding of findings) {
    const data = finding.dataset;
    finding.hidden = !((!rule || data.rule === rule) && (!category || data.category === category)
      && (!fix || data.fix === fix) && (!folder || isIn(data.folder, folder))
      && sought.every(word => textOf(finding).includes(word)));
  }
  for (const group of groups) group.hidden = !group.querySelector(".finding:not([hidden])");
  const left = shown().length;
  document.getElementById("count").textContent =
    left === findings.length ? `${left} shown` : `${left} of ${findings.length} shown`;
  document.getElementById("none").hidden = left > 0 || findings.length === 0;
  at = -1;
}

function move(step) {
  const visible = shown();
  if (!visible.length) return;
  const here = visible.indexOf(document.activeElement.closest(".finding"));
  at = Math.min(visible.length - 1, Math.max(0, (here >= 0 ? here : at) + step));
  visible[at].firstElementChild.open = true;
  visible[at].scrollIntoView({ block: "start" });
  visible[at].querySelector("summary").focus({ preventScroll: true });
}

function reveal() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const finding = target && target.closest(".finding");
  if (!finding) return;
  if (finding.hidden) form.reset();
  finding.firstElementChild.open = true;
  finding.scrollIntoView();
}

function later(action) {
  let waiting = 0;
  return () => { clearTimeout(waiting); waiting = setTimeout(action, 90); };
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isTyping = event.target.closest("input, select, textarea");
  if (event.key === "Escape" && event.target === words) {
    if (words.value) { words.value = ""; narrow(); } else words.blur();
  } else if (isTyping) {
    return;
  } else if (event.key === "/") {
    event.preventDefault();
    words.focus();
    words.select();
  } else if (event.key === "j" || event.key === "k") {
    event.preventDefault();
    move(event.key === "j" ? 1 : -1);
  }
});
form.addEventListener("submit", event => event.preventDefault());
form.addEventListener("input", later(narrow));
form.addEventListener("reset", () => setTimeout(narrow));
document.getElementById("fold").addEventListener("click", () => fold(shown(), false));
document.getElementById("unfold").addEventListener("click", () => fold(shown(), true));
addEventListener("hashchange", reveal);
addEventListener("beforeprint", () => fold(findings, true));

const theme = document.getElementById("theme");
theme.hidden = false;
theme.addEventListener("click", () => {
  const isDark = getComputedStyle(document.documentElement).colorScheme === "dark"
    || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = isDark ? "light" : "dark";
});

form.hidden = findings.length === 0;
if (findings.length > MOST_UNFOLDED) fold(findings, false);
document.querySelectorAll("section.rule > header details").forEach(told => { told.open = findings.length <= MOST_UNFOLDED; });
document.querySelector("nav details").open = !matchMedia("(max-width: 60rem)").matches;
narrow();
reveal();
