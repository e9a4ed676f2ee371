// Opens the live view in a headless Chromium, clicks its buttons, and prints what the page shows then, as JSON.
//
//   node --experimental-websocket tests/browser/live.mjs CHROMIUM URL [COMMAND,...] [SECONDS] [SCREENSHOT]
//
// Talks to the browser by the DevTools protocol, which needs nothing but Node's own WebSocket.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [chromium, url, commands = "", seconds = "5", screenshot] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), "seawall-live-"));
const browser = spawn(chromium, [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
  "--remote-debugging-port=0", `--user-data-dir=${profile}`, "--window-size=1240,1020", "about:blank",
], { stdio: ["ignore", "ignore", "pipe"], detached: true });

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function endpoint() {
  return new Promise((resolve, reject) => {
    let said = "";
    browser.stderr.on("data", (part) => {
      said += part;
      const found = said.match(/DevTools listening on (ws:\S+)/);
      if (found) resolve(found[1]);
    });
    browser.on("exit", () => reject(new Error(`the browser ended: ${said}`)));
  });
}

async function talk() {
  const socket = new WebSocket(await endpoint());
  await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
  const waiting = new Map();
  let last = 0;
  socket.onmessage = ({ data }) => {
    const { id, result, error } = JSON.parse(data);
    const settle = waiting.get(id);
    if (settle === undefined) return;
    waiting.delete(id);
    if (error) settle.reject(new Error(error.message)); else settle.resolve(result);
  };
  return (method, params = {}, sessionId) => new Promise((resolve, reject) => {
    waiting.set(++last, { resolve, reject });
    socket.send(JSON.stringify({ id: last, method, params, sessionId }));
  });
}

async function main() {
  const send = await talk();
  const { targetId } = await send("Target.createTarget", { url });
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  const evaluate = async (expression) => {
    const { result } = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true }, sessionId);
    return result.value;
  };
  const until = async (expression) => {
    for (let tries = 0; tries < 600; tries += 1) {
      // A page that is still loading has nothing to ask yet.
      if (await evaluate(expression).catch(() => false)) return;
      await sleep(100);
    }
    throw new Error(`never true: ${expression}`);
  };
  await until(`document.getElementById("state")?.textContent === "live"`);
  const said = [];
  for (const command of commands.split(",").filter(Boolean)) {
    const button = `document.querySelector('button[data-command="${command}"]')`;
    await until(`${button} !== null && !${button}.disabled`);
    await evaluate(`window.pressed = ${button}, window.pressed.click()`);
    await until(`!window.pressed.disabled`);
    said.push(await evaluate(`document.getElementById("said").textContent`));
  }
  // Envoy gathers its histograms every few seconds, and those of one route before those of another where their first requests
  // ended before and after that.
  await until(`["orders", "payments"].every((route) => document.getElementById("latency").textContent.includes(route + " p99"))`);
  await sleep(Number(seconds) * 1000);
  const shown = await evaluate(`({
    lines: document.querySelectorAll("polyline").length,
    traces: document.querySelectorAll("#traces tr").length,
    legend: [...document.querySelectorAll(".legend span")].map((entry) => entry.textContent),
  })`);
  if (screenshot) {
    const { data } = await send("Page.captureScreenshot", { format: "png" }, sessionId);
    writeFileSync(screenshot, Buffer.from(data, "base64"));
  }
  console.log(JSON.stringify({ said, ...shown }));
}

try {
  await main();
} finally {
  browser.removeAllListeners("exit");
  if (browser.exitCode === null && browser.signalCode === null) {
    const ended = new Promise((resolve) => browser.on("exit", resolve));
    // Its processes are a group of their own.
    process.kill(-browser.pid, "SIGKILL");
    await ended;
  }
  // What the last of them still writes must not be in the way.
  rmSync(profile, { recursive: true, force: true, maxRetries: 30, retryDelay: 100 });
}
process.exit(0);
