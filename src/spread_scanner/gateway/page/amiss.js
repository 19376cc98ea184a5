// What is amiss though prices come, in sentences. A pure function of the record of /health, whose
// `switched` are "halt" or kinds with names, and whose `degraded` are processes or whole sentences.

export function amiss(served) {
  const said = [...(served?.switched ?? []).map(switched), ...(served?.degraded ?? []).map(unwell)];
  return said.map((one) => one[0].toUpperCase() + one.slice(1) + (one.endsWith(".") ? "" : "."));
}

const switched = (one) => (one === "halt" ? "all signals are halted" : `${one} is paused`);
const unwell = (one) => (one.includes(" ") ? one : `process ${one} is unwell`);
