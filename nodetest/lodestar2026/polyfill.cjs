// Node.js 20 lacks two functions that newer ones have.
Promise.withResolvers ??= function () {
  let resolve, reject;
  const promise = new Promise((a, b) => { resolve = a; reject = b; });
  return {promise, resolve, reject};
};
Array.fromAsync ??= async function (items) {
  const out = [];
  for await (const item of items) out.push(item);
  return out;
};
