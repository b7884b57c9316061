// Where the engine runs: in a worker made from this very script, or, where workers are refused, in
// short slices on the page's own thread.
import { Engine, drive } from "./engine.js";

const SLICE = 8;  // milliseconds on the page's own thread

// source: the engine's code as text; receive(message): called with what it posts. Returns
// {send(message), kind()}; what is sent before the engine is there waits.
export function connect(source, receive) {
  let send = null, kind = "starting";
  const waiting = [];
  const use = (found, where) => {
    send = found;
    kind = where;
    waiting.splice(0).forEach(send);
  };
  const here = () => {
    if (send) return;
    use(drive(new Engine(receive), SLICE, (f) => setTimeout(f, 0)), "page");
  };
  try {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" })), worker = new Worker(url);
    worker.onerror = (event) => { if (!send) { event.preventDefault(); worker.terminate(); here(); } };
    worker.onmessage = ({ data }) => {
      if (data.type !== "ready") return receive(data);
      URL.revokeObjectURL(url);
      use((message) => worker.postMessage(message), "worker");
    };
    setTimeout(() => { if (!send) { worker.terminate(); here(); } }, 4000);  // refused without a word
  } catch { here(); }
  return { send: (message) => (send ? send(message) : waiting.push(message)), kind: () => kind };
}
