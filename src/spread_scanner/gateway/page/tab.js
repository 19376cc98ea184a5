// The browser's tab: how many opportunities are open (null: nobody says), and whether the page is
// what stands.

let told = "";

export const titleOf = (stands, opens) => `${stands ? "" : "⚠ "}${opens ? `(${opens}) ` : ""}spread-scanner`;

export function tab(kind, opens) {
  const stands = kind === "live" && opens !== null;
  const said = titleOf(stands, opens);
  if (said === told) return;
  told = document.title = said;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 32;
  const pen = canvas.getContext("2d");
  pen.fillStyle = stands ? "#1f5fa8" : "#8a5a00";
  pen.fillRect(0, 0, 32, 32);
  pen.fillStyle = "#fff";
  pen.font = "bold 20px sans-serif";
  pen.textAlign = "center";
  pen.fillText(stands ? String(opens > 99 ? "99" : opens || "≈") : "!", 16, 24);
  document.getElementById("icon").href = canvas.toDataURL();
}
