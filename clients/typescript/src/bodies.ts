// What a server answers, read within a bound: fetch unpacks whatever comes, and a kilobyte may come to
// gigabytes.

/** Its text; null: it is longer, unpacked. */
export async function bounded(answer: Response, bytesMax: number): Promise<string | null> {
  const reader = answer.body?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for (;;) {
    const part = await reader?.read();
    if (part === undefined || part.value === undefined) return text + decoder.decode();
    bytes += part.value.length;
    if (bytes > bytesMax) {
      await reader?.cancel();
      return null;
    }
    text += decoder.decode(part.value, { stream: true });
  }
}
