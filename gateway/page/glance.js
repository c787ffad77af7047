// What the queue does, from what /overview tells.

const element = (id) => document.getElementById(id);
export const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
const sum = (list, name) => list.reduce((total, its) => total + (its[name] ?? 0), 0);
const or = (value, text) => (value == null ? "–" : text(value));
const whole = (number) => Math.round(number).toLocaleString("en");

function span(seconds) {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

// Where nothing has changed, what somebody has selected stays so.
export function write(id, text) {
  if (element(id).textContent !== String(text)) element(id).textContent = text;
}

export function state(kind, text) {
  write("state", text);
  element("state").className = kind;
}

export function show({ now, queues, workers, failures }, model) {
  const alive = workers.filter((its) => !its.is_silent);
  write("waiting", whole(sum(queues, "num_waiting")));
  write("running", whole(sum(queues, "num_running")));
  write("batch", `${whole(sum(alive, "running_rows"))} / ${whole(sum(alive, "max_rows"))}`);
  write("speed", whole(sum(alive, "tokens_per_second")));
  write("working", alive.length);
  fill("queues", queues, queueCells);
  fill("workers", workers, workerCells);
  fill("failures", failures, (its) => [
    or(its.at, (at) => `${span(Math.max(0, now - at))} ago`),
    its.reason,
    its.job_id,
  ]);
  element("details").hidden = false;
  const name = model ? `${model}: ` : "";
  if (alive.length) state("good", `${name}${count(alive.length, "worker")} ready`);
  else state("bad", `${name}no worker serves the queue, jobs wait`);
  return alive.length;
}

const queueCells = (its) => [
  its.tenant ? `${its.queue}, ${its.tenant}` : its.queue,
  whole(its.num_waiting),
  or(its.oldest_seconds, span),
  whole(its.num_running),
  whole(its.num_finished),
  whole(its.num_failed),
];

const workerCells = (its) => [
  its.name,
  its.is_silent ? "silent" : or(its.state, String),
  `${or(its.running_rows, whole)} / ${or(its.max_rows, whole)}`,
  or(its.tokens_per_second, whole),
  its.kv_budget_tokens ? `${whole((100 * (its.kv_tokens ?? 0)) / its.kv_budget_tokens)} %` : "–",
  or(its.reproducible, (is) => (is ? "yes" : "no")),
  or(its.heartbeat_seconds, (seconds) => `${span(seconds)} ago`),
];

function fill(id, list, cellsOf) {
  const table = element(id);
  table.hidden = list.length === 0;
  const body = table.tBodies[0];
  list.forEach((its, index) => {
    const row = body.rows[index] ?? body.insertRow();
    cellsOf(its).forEach((text, place) => {
      const cell = row.cells[place] ?? row.insertCell();
      if (cell.textContent !== String(text)) cell.textContent = text;
    });
  });
  while (body.rows.length > list.length) body.deleteRow(-1);
  const frame = table.parentElement; // who scrolls it by keyboard has to reach it
  if (frame.scrollWidth > frame.clientWidth) frame.tabIndex = 0;
  else frame.removeAttribute("tabindex");
}
