// A real Lodestar 1.44 without peers: its chain, pools, block production, REST API, clock, and Engine API client are the
// packages from npm; the database and the fork choice are stand-ins (stand-in/). It reads a network that
// `blockprint lab genesis` has written:
//
//	node --require ./polyfill.cjs --import ./register.mjs node.mjs --network=DIR --port=9596 --execution=http://127.0.0.1:8551
import fs from "node:fs";
import path from "node:path";
import {PresetName, setActivePreset} from "@lodestar/params/setPreset";

const options = Object.fromEntries(process.argv.slice(2).map((a) => a.replace(/^--/, "").split(/=(.*)/s)));
const read = (name) => fs.readFileSync(path.join(options.network, name));

// The network's configuration is flat; what is mainnet's preset in it must be set before anything else is loaded.
const values = {};
for (const line of read("config.yaml").toString().split("\n")) {
  const found = /^([A-Z0-9_]+):\s*(.*?)\s*$/.exec(line);
  if (found && found[2] !== "[]") values[found[1]] = found[2];
}
setActivePreset(PresetName.mainnet, {TARGET_COMMITTEE_SIZE: Number(values.TARGET_COMMITTEE_SIZE)});

const {createBeaconConfig, createChainForkConfig, chainConfigFromJson} = await import("@lodestar/config");
const {mainnetChainConfig} = await import("@lodestar/config/configs");
const {MemoryDb} = await import("@lodestar/db");
const st = await import("@lodestar/state-transition");
const lib = new URL("./node_modules/@lodestar/beacon-node/lib/", import.meta.url).href;
const [{BeaconChain}, {getApi}, {BeaconRestApiServer}, {BeaconDb}, {initializeExecutionEngine, defaultExecutionEngineOpts}, {defaultChainOptions}, {Clock}, {SyncState}] =
  await Promise.all(["chain/chain.js", "api/impl/api.js", "api/rest/index.js", "db/beacon.js", "execution/engine/index.js", "chain/options.js", "util/clock.js", "sync/interface.js"].map((file) => import(lib + file)));

const level = ["error", "warn", "info", "verbose", "debug"].indexOf(options.log ?? "warn");
const say = (name, at) => (...words) => { if (at <= level) console.log(new Date().toISOString(), name, ...words.map((w) => w instanceof Error ? w.stack : typeof w === "object" ? JSON.stringify(w, (_, v) => typeof v === "bigint" ? String(v) : v) : w)); };
const logger = {error: say("ERROR", 0), warn: say("WARN", 1), info: say("info", 2), verbose: say("verbose", 3), debug: say("debug", 4), trace() {}, child() { return logger; }};

const fork = createChainForkConfig({...mainnetChainConfig, ...chainConfigFromJson(values)});
const state = fork.getForkTypes(0).BeaconState.deserializeToViewDU(read("genesis.ssz"));
const config = createBeaconConfig(fork, state.genesisValidatorsRoot);
const pubkeyCache = st.createPubkeyCache();
const anchorState = new st.BeaconStateView(st.createCachedBeaconState(state, {config, pubkeyCache}));
const {signal} = new AbortController();
const clock = new Clock({config, genesisTime: anchorState.genesisTime, signal});
const db = new BeaconDb(config, new MemoryDb());
const executionEngine = initializeExecutionEngine({...defaultExecutionEngineOpts, mode: "http", urls: [options.execution], jwtSecretHex: "0x" + read("jwt.hex").toString().trim()}, {metrics: null, signal, logger});
const chain = new BeaconChain(
  {...defaultChainOptions, blsVerifyAllMainThread: true, blsVerifyAllMultiThread: false, disableLightClientServer: true, proposerBoost: false, proposerBoostReorg: false,
    suggestedFeeRecipient: "0x" + "11".repeat(20), disableArchiveOnCheckpoint: true, sanityCheckExecutionEngineBlobs: false, nHistoricalStatesFileDataStore: false},
  {privateKey: {type: "none", publicKey: {raw: new Uint8Array(33)}}, config, clock, pubkeyCache, dataDir: ".", db, dbName: "db", logger, metrics: null, validatorMonitor: null,
    processShutdownCallback(error) { logger.error("the node shuts down", error); process.exit(1); }, anchorState, isAnchorStateFinalized: true, executionEngine});
await chain.init?.();

// Nothing goes out to peers and nothing comes in.
const network = new Proxy({peerId: {toString: () => "none"}, getConnectedPeerCount: () => 0, getConnectedPeers: () => [], isSubscribedToGossipCoreTopics: () => true, custodyConfig: chain.custodyConfig},
  {get: (target, key) => target[key] ?? (key === "then" ? undefined : async () => 0)});
const sync = {state: SyncState.Synced, isSynced: () => true, isSyncing: () => false, subscribeToNetwork() {},
  getSyncStatus: () => ({headSlot: chain.forkChoice.getHead().slot, syncDistance: Math.max(0, clock.currentSlot - chain.forkChoice.getHead().slot), isSyncing: false, isOptimistic: false, elOffline: false})};
const version = "v1.44.0/npm";
const api = getApi({version, commit: "", rest: {}}, {config, logger, db, sync, network, chain, metrics: null});
const rest = new BeaconRestApiServer({enabled: true, address: "127.0.0.1", port: Number(options.port), api: ["beacon", "config", "debug", "events", "node", "validator", "lodestar"], cors: "*"}, {config, logger, api, metrics: null});
await rest.registerRoutes(version);
await rest.listen();
console.log("listening on port", options.port);
