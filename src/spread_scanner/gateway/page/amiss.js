// What is amiss though prices come, in sentences. A pure function of the record of /health, whose
// `switched` are "halt" or kinds with names, and whose `degraded` are processes or whole sentences.

export function amiss(served) {
  const { switched = [], degraded = [] } = served ?? {};
  const paused = switched.filter((one) => one !== "halt");
  const unwell = degraded.filter((one) => !one.includes(" "));
  const said = [
    switched.includes("halt") && "all signals are halted",
    paused.length && `paused: ${paused.join(", ")}`,
    unwell.length && `unwell: ${unwell.join(", ")}`,
    ...degraded.filter((one) => one.includes(" ")),
  ].filter(Boolean);
  return said.map((one) => one[0].toUpperCase() + one.slice(1) + (one.endsWith(".") ? "" : "."));
}
