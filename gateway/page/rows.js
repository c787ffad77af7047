// Rows side by side as they stream, with forced tokens set apart.

import { count } from "./glance.js";

function made(kind, className = "", text = "") {
  const its = document.createElement(kind);
  if (className) its.className = className;
  its.textContent = text;
  return its;
}

export class Rows {
  // `place`: where they are shown; `onSpecial` and `onForced` are told that there are such tokens.
  constructor(place, number, { onSpecial, onForced }) {
    this.cards = Array.from({ length: number }, (_, index) => new Card(index));
    this.onSpecial = onSpecial;
    this.onForced = onForced;
    place.replaceChildren(...this.cards.map((its) => its.article));
  }

  take(choice) {
    const text = choice.text ?? choice.delta?.content ?? "";
    const isForced = choice.masks?.[0] === 0;
    const card = this.cards[choice.index];
    card.numTokens += choice.token_ids?.length ?? 0;
    if (choice.special_token) {
      card.addSpecial(choice.special_token);
      this.onSpecial();
    }
    if (text) card.addText(text, isForced);
    if (text && isForced) this.onForced();
    card.note(choice.finish_reason);
  }

  get numTokens() {
    return this.cards.reduce((total, its) => total + its.numTokens, 0);
  }

  end() {
    for (const card of this.cards) card.note(card.isOpen ? "not finished" : null);
  }
}

class Card {
  constructor(index) {
    this.article = made("article", "open");
    const head = made("header");
    this.foot = made("span");
    head.append(made("h3", "", `Row ${index}`), this.foot);
    this.text = made("p");
    this.article.append(head, this.text);
    this.numTokens = 0;
    this.part = null; // to which text of its kind is added
    this.asked = null; // a sampled part between two special tokens: perhaps a question to a tool
    this.isAfterSpecial = false;
    this.isAfterForced = false;
  }

  get isOpen() {
    return this.article.className === "open";
  }

  addSpecial(name) {
    const { part } = this;
    if (part) this.asked = part.isAfterSpecial && !part.isForced ? part : null;
    const special = made("span", "named");
    special.dataset.name = name;
    this.text.append(special);
    this.part = null;
    this.isAfterSpecial = true;
  }

  addText(text, isForced) {
    if (this.part?.isForced !== isForced) this.begin(isForced);
    this.part.node.append(text);
  }

  begin(isForced) {
    const node = isForced ? made("mark", "forced") : made("span", this.isAfterForced ? "after" : "");
    if (isForced && this.asked) {
      const call = made("code", "call");
      call.append(...this.asked.node.childNodes);
      this.asked.node.replaceWith(call);
      node.classList.add("joined");
    }
    this.text.append(node);
    this.part = { node, isForced, isAfterSpecial: this.isAfterSpecial };
    this.asked = null;
    this.isAfterSpecial = false;
    this.isAfterForced = isForced;
  }

  note(reason) {
    if (reason) this.article.className = "";
    if (reason) this.reason = reason;
    this.foot.textContent = count(this.numTokens, "token") + (this.reason ? ` · ${this.reason}` : "");
  }
}
