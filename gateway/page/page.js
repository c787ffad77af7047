// The page: looks at the queue every two seconds, and lets the controls do what they say.

import { ask, forgetKey, keepKey, Refusal, storedKey } from "./gateway.js";
import { show, state } from "./glance.js";
import { Playground } from "./playground.js";

const element = (id) => document.getElementById(id);
const LOOK_MILLISECONDS = 2000;
const KEY = /^[\x21-\x7e]{1,512}$/; // what a header can hold

const playground = new Playground();
let lacksKey = false;

async function look() {
  try {
    await playground.findModel();
    playground.numWorkers = show(await (await ask("overview")).json(), playground.model);
    playground.tell();
    lacksKey = false;
  } catch (error) {
    const isRefusal = error instanceof Refusal;
    lacksKey = isRefusal && error.status === 401;
    const told = lacksKey ? error.title : `${error.title}: ${error.message}`;
    state("bad", isRefusal ? told : "The gateway does not answer");
  }
  showLogin();
}

function showLogin() {
  element("login").hidden = !lacksKey;
  element("keyed").hidden = lacksKey || !storedKey();
}

async function keepLooking() {
  if (!document.hidden && !lacksKey) await look();
  setTimeout(keepLooking, LOOK_MILLISECONDS);
}

async function login(event) {
  event.preventDefault();
  const key = element("key").value.trim();
  element("key").value = "";
  if (KEY.test(key)) keepKey(key);
  else return playground.complain("This is no API key", "A key is a word of letters and digits.");
  element("error").hidden = true;
  await look();
  playground.showCurl();
  element(lacksKey ? "key" : "prompt").focus();
}

async function logout() {
  forgetKey();
  playground.stop();
  playground.showCurl();
  await look();
  if (lacksKey) element("key").focus();
}

element("login").addEventListener("submit", login);
element("forget").addEventListener("click", logout);
element("request").addEventListener("submit", (event) => {
  event.preventDefault();
  playground.sample();
});
element("request").addEventListener("input", () => playground.showCurl());
element("stop").addEventListener("click", () => playground.stop());
element("copy").addEventListener("click", () => playground.copy());
element("special").addEventListener("change", (event) => {
  element("rows").classList.toggle("all", event.target.checked);
});
document.addEventListener("keydown", (event) => {
  const isAsked = event.key === "Enter" && (event.ctrlKey || event.metaKey);
  if (isAsked && !element("login").contains(event.target)) element("request").requestSubmit();
  if (event.key === "Escape") playground.stop();
});
document.addEventListener("visibilitychange", () => document.hidden || lacksKey || look());

playground.showCurl();
keepLooking();
