module.exports = {
  kernapay: {
    input: { target: "./openapi.json" },
    output: { target: "./generated/kernapay.ts", client: "fetch", baseUrl: process.env.API },
  },
};
