// The data of the page.
const packed = Uint8Array.from(atob(document.getElementById("data").textContent.trim()), (c) => c.charCodeAt(0));
const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
const data = await new Response(unpacked).json();
const { cells } = data;

function columnOf(column) {
  // a column is an array, or the index of a column of the page; a column of few texts is stored as their indices
  if (Array.isArray(column)) return column;
  const stored = data.columns[column];
  if (!Array.isArray(stored)) data.columns[column] = stored.indices.map((index) => stored.texts[index]);
  return data.columns[column];
}

