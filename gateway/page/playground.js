// The playground: a request as the form says it, sent, stopped, and as a curl line.

import { ask, Refusal, storedKey, stream } from "./gateway.js";
import { count, write } from "./glance.js";
import { Rows } from "./rows.js";

const element = (id) => document.getElementById(id);
const FIELDS = ["n", "max_tokens", "temperature", "top_p", "seed"];

export class Playground {
  model = null;
  numWorkers = null;
  #running = null; // the AbortController of the request that streams
  #rows = null;

  // What is asked: whether it streams has no part in which rows come.
  request() {
    const isChat = document.querySelector("[name=kind]:checked").value === "chat";
    const prompt = element("prompt").value;
    const asked = isChat ? { messages: [{ role: "user", content: prompt }] } : { prompt };
    const numbers = FIELDS.map((name) => [name, Number(element(name).value)]);
    return {
      path: isChat ? "v1/chat/completions" : "v1/completions",
      body: { model: this.model ?? "", ...asked, ...Object.fromEntries(numbers) },
    };
  }

  // Raises as `ask` does.
  async findModel() {
    if (this.model !== null) return;
    const models = await (await ask("v1/models")).json();
    this.model = models.data[0].id;
    this.showCurl();
  }

  async sample() {
    this.stop();
    const own = (this.#running = new AbortController());
    const { path, body } = this.request();
    const rows = (this.#rows = new Rows(element("rows"), body.n, {
      onSpecial: () => (element("shows").hidden = false),
      onForced: () => (element("legend").hidden = false),
    }));
    this.#begin();
    try {
      await this.findModel();
      const asked = { ...body, model: this.model, stream: true, return_token_ids: true };
      for await (const chunk of stream(path, asked, own.signal)) {
        for (const choice of chunk.choices) rows.take(choice);
      }
      write("progress", `Done: ${count(body.n, "row")}, ${count(rows.numTokens, "token")}.`);
    } catch (error) {
      if (own.signal.aborted) {
        if (this.#running === own) write("progress", "Stopped.");
      } else this.#fail(error);
    } finally {
      if (rows.numTokens) rows.end();
      else if (this.#running === own) element("rows").replaceChildren();
      if (this.#running === own) this.#end();
    }
  }

  stop() {
    this.#running?.abort();
  }

  #begin() {
    element("error").hidden = true;
    for (const its of document.querySelectorAll("[aria-invalid]")) its.removeAttribute("aria-invalid");
    element("legend").hidden = element("shows").hidden = true;
    element("stop").disabled = false;
    this.tell();
  }

  #end() {
    this.#running = this.#rows = null;
    if (document.activeElement === element("stop")) element("sample").focus();
    element("stop").disabled = true;
  }

  // How it stands, as long as no token has come.
  tell() {
    if (this.#rows === null || this.#rows.numTokens) return;
    const number = count(this.#rows.cards.length, "row");
    const waits = `No worker serves the queue: ${number} will wait until one does.`;
    write("progress", this.numWorkers === 0 ? waits : `Sampling ${number} …`);
  }

  #fail(error) {
    write("progress", "");
    if (error instanceof Refusal) {
      this.complain(error.title, error.message);
      this.#mark(error.param);
    } else if (this.#rows.numTokens) {
      const message = "Sample again: the same seed gives the same rows.";
      this.complain("The connection to the gateway broke", message);
    } else this.complain("The gateway does not answer", "It may be stopped, or the network is away.");
  }

  complain(title, message) {
    const head = document.createElement("strong");
    const text = document.createElement("span");
    head.textContent = title;
    text.textContent = message;
    element("error").replaceChildren(head, text);
    element("error").hidden = false;
  }

  // The field that is wrong, where the form has it.
  #mark(param) {
    const name = param?.startsWith("messages") ? "prompt" : param;
    const field = ["prompt", ...FIELDS].includes(name) ? element(name) : null;
    field?.setAttribute("aria-invalid", "true");
    field?.focus();
  }

  showCurl() {
    const { path, body } = this.request();
    const key = storedKey() ? ' \\\n  -H "Authorization: Bearer $ROWMILL_KEY"' : "";
    const data = `'${JSON.stringify(body).replaceAll("'", "'\\''")}'`;
    const line =
      `curl '${new URL(path, location.href)}'${key} \\\n` +
      `  -H 'Content-Type: application/json' \\\n  -d ${data}`;
    write("curl", line);
    write("copied", "");
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(element("curl").textContent);
      write("copied", "Copied.");
    } catch {
      getSelection().selectAllChildren(element("curl"));
      write("copied", "Selected: copy it with the keyboard.");
    }
  }
}
