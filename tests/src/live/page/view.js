// Asks for a snapshot every second and draws the differences.
"use strict";

const charts = {
  limits: new Chart("limits", { least: 10 }),
  cache: new Chart("cache", { least: 10 }),
  ratio: new Chart("ratio", { least: 100 }),
  breaker: new Chart("breaker", { least: 2 }),
  calls: new Chart("calls", { least: 10 }),
  latency: new Chart("latency", { least: 10 }),
};

let before = null;

// So many a second since the last snapshot. Counters of an Envoy that was started anew begin at zero.
function rate(now, then, seconds) {
  return Math.max(0, (now - then) / seconds);
}

function draw(shot, seconds) {
  const limits = {};
  for (const [name, counts] of Object.entries(shot.limits)) {
    const then = before.limits[name] ?? counts;
    limits[`${name} admitted`] = rate(counts.allowed ?? 0, then.allowed ?? 0, seconds);
    limits[`${name} refused`] = rate(counts.refused ?? 0, then.refused ?? 0, seconds);
  }
  charts.limits.add(limits);

  const since = (part, field) => rate(shot[part][field], before[part][field], seconds);
  const hits = since("cache", "hits"), misses = since("cache", "misses"), refreshes = since("cache", "refreshes");
  const asked = hits + misses + refreshes;
  charts.cache.add({
    hits,
    misses,
    refreshes,
    "waited for another": since("cache", "coalesced"),
    "reached the origin": since("cache", "origin"),
  });
  charts.ratio.add({ "hit ratio": asked > 0 ? (100 * hits) / asked : null });
  charts.breaker.add({ open: shot.breaker.open, "half-open": shot.breaker.half_open });
  charts.calls.add({
    "reached it": since("breaker", "dependency"),
    refused: since("breaker", "refused"),
    failed: since("breaker", "failures"),
  });
  const latency = {};
  for (const [route, { p50, p99 }] of Object.entries(shot.latency)) {
    latency[`${route} p50`] = p50;
    latency[`${route} p99`] = p99;
  }
  charts.latency.add(latency);
}

function list(traces) {
  const rows = traces.map((line) => {
    const row = document.createElement("tr");
    const time = (line.timestamp ?? "").slice(11, 23);
    const cells = [time, line.endpoint, line.message, line.duration_ms, line.tenant_id, line.trace_id, line.cache];
    cells.forEach((value, column) => {
      const cell = document.createElement("td");
      if (column === 5) cell.className = "trace";
      cell.textContent = value ?? "";
      row.append(cell);
    });
    return row;
  });
  document.getElementById("traces").replaceChildren(...rows);
}

async function look() {
  const state = document.getElementById("state");
  try {
    const shot = await (await fetch("api/snapshot")).json();
    shot.at = performance.now();
    if (before !== null) draw(shot, (shot.at - before.at) / 1000);
    before = shot;
    list(shot.traces);
    const traffic = document.getElementById("traffic");
    traffic.dataset.command = shot.traffic ? "traffic/off" : "traffic/on";
    traffic.textContent = shot.traffic ? "Stop steady traffic" : "Start steady traffic";
    state.textContent = "live";
  } catch {
    state.textContent = "Envoy does not answer";
  }
  setTimeout(look, 1000);
}

async function command(button) {
  const said = document.getElementById("said");
  button.disabled = true;
  said.textContent = `${button.textContent} …`;
  try {
    const answer = await fetch(`api/${button.dataset.command}`, { method: "POST", headers: { "x-seawall-live": "1" } });
    const done = await answer.json();
    const counts = Object.entries(done.answers ?? {}).map(([status, count]) => `${count} × ${status}`);
    said.textContent = [done.said, counts.join(", ")].filter(Boolean).join(": ");
  } catch {
    said.textContent = "That did not work.";
  }
  button.disabled = false;
}

for (const button of document.querySelectorAll("button")) {
  button.addEventListener("click", () => command(button));
}
look();
