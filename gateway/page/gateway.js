// Asking the gateway. The key stays in this tab: in its session's storage, and in no place else.

const KEY = "rowmill-key";

export const storedKey = () => sessionStorage.getItem(KEY);
export const keepKey = (key) => sessionStorage.setItem(KEY, key);
export const forgetKey = () => sessionStorage.removeItem(KEY);

// What the gateway says instead of an answer: `title` and `message` are for people.
export class Refusal extends Error {
  constructor(status, error, retryAfter = null) {
    const isKeyless = status === 401 && !storedKey(); // it speaks of headers to programs
    super(isKeyless ? "Give one at the top of the page." : (error.message ?? "It gave no reason."));
    this.status = status;
    this.param = error.param ?? null;
    this.title = title(status, error, retryAfter);
  }
}

function title(status, error, retryAfter) {
  switch (status) {
    case null:
      return "The rows ended early";
    case 400:
    case 422:
      return error.param ? `${error.param} was not taken` : "The request was not taken";
    case 401:
      return storedKey() ? "This API key does not count" : "An API key is needed";
    case 429:
      return `Not now: try again in ${retryAfter ?? "a few"} s`;
    case 503:
      return "The queue is away";
    default:
      return `The gateway answered ${status}`;
  }
}

// Raises Refusal, and TypeError where the gateway can't be reached.
export async function ask(path, options = {}) {
  const key = storedKey();
  const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
  const answer = await fetch(path, { ...options, headers });
  if (answer.ok) return answer;
  let error = {};
  try {
    error = (await answer.json()).error ?? {};
  } catch {
    // It is not the gateway's: the status has to do.
  }
  throw new Refusal(answer.status, error, answer.headers.get("Retry-After"));
}

// The chunks of a streamed answer, however they are cut on their way. Raises as `ask` does, and
// Refusal for an error in mid-stream.
export async function* stream(path, body, signal) {
  const answer = await ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { value, done } = await reader.read();
    if (done) throw new TypeError("the stream broke off");
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data:")) continue;
      const data = line.slice("data:".length).trim();
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Refusal(null, chunk.error);
      yield chunk;
    }
  }
}
