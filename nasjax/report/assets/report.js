// The script of a report: sorts tables, shows architectures, draws charts. It loads nothing.
"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 640px)");
  const hovers = matchMedia("(hover: hover)").matches;
  const palette = () => page.palettes[dark.matches ? "dark" : "light"];

  function make(tag, text, attributes) {
    const node = document.createElement(tag);
    if (text !== undefined && text !== null) node.textContent = text;
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    return node;
  }

  // Tables. A cell with a number carries it as data-v; what has none stays last in either direction.
  function sortable(table) {
    const body = table.tBodies[0], original = [...body.rows];
    if (original.length < 2) return;
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const numeric = original.some((row) => "v" in row.cells[column].dataset);
      const key = (row) => {
        const cell = row.cells[column];
        if (numeric) return "v" in cell.dataset ? Number(cell.dataset.v) : null;
        return cell.textContent.trim() || null;
      };
      const cycle = numeric ? ["descending", "ascending", null] : ["ascending", "descending", null];
      const button = make("button", null, { type: "button" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const order = cycle[(cycle.indexOf(head.getAttribute("aria-sort")) + 1) % 3];
        for (const other of heads) other.removeAttribute("aria-sort");
        if (order) head.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        const rows = order ? [...original].sort((a, b) => {
          const [first, second] = [key(a), key(b)];
          if (first === null || second === null) return (first === null) - (second === null);
          return sign * (numeric ? first - second : first.localeCompare(second, "en", { numeric: true }));
        }) : original;
        body.append(...rows);
      });
    });
  }

  // Networks.
  const SVG = "http://www.w3.org/2000/svg";
  const PLAIN = new Set(["input", "output", "add", "head", "c_{k-2}", "c_{k-1}"]);
  const kind = (label) => label.split("(")[0];

  function svg(tag, attributes, parent) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (parent) parent.append(node);
    return node;
  }

  function arrow(parent, points, end, from) {
    svg("path", { d: points, class: "edge" }, parent);
    const [dx, dy] = [end[0] - from[0], end[1] - from[1]], length = Math.hypot(dx, dy) || 1;
    const [ux, uy] = [dx / length, dy / length];
    const at = (back, side) => `${end[0] - back * ux - side * uy},${end[1] - back * uy + side * ux}`;
    svg("polygon", { points: `${at(0, 0)} ${at(7, 3)} ${at(7, -3)}`, class: "tip" }, parent);
  }

  function drawing(number) {
    const graph = page.graphs[number];
    if (!graph) return null;
    const names = graph.n.map((i) => page.labels[i]);
    const half = names.map((name) => (name.length * 6.3 + 16) / 2);
    const unit = Math.max(60, 2 * Math.max(...half) + 12), row = 40, tall = 11;
    const x = graph.x.map((v) => (v + 0.5) * unit + 14), y = graph.y.map((v) => v * row + 16);
    const height = Math.max(...y) + 16;
    const counts = {};
    for (const name of names) if (!PLAIN.has(kind(name))) counts[kind(name)] = (counts[kind(name)] || 0) + 1;
    const kinds = Object.keys(counts).sort((a, b) => counts[b] - counts[a]).slice(0, 4);
    const root = svg("svg", { class: "net", role: "img" });
    svg("title", {}, root).textContent = `Network of ${names.length} nodes: ${names.join(", ")}`;
    let around = 0, left = 0, right = Math.max(...x) + unit / 2 + 14;

    // How many boxes an edge crosses that is neither its first nor its last, for a sideways bend.
    function crossed(a, b, bend) {
      const hit = new Set();
      for (let t = 0.04; t < 1; t += 0.04) {
        const [px, py] = along(a, b, bend, t);
        names.forEach((_, i) => {
          if (i !== a && i !== b && Math.abs(px - x[i]) < half[i] + 3 && Math.abs(py - y[i]) < tall + 3) hit.add(i);
        });
      }
      return hit.size;
    }

    function along(a, b, bend, t) { // a cubic curve whose inner points are moved sideways
      const [y0, y3] = [y[a] + tall, y[b] - tall], s = 1 - t;
      const weights = [s ** 3, 3 * s * s * t, 3 * s * t * t, t ** 3];
      const sum = (...values) => values.reduce((total, v, i) => total + v * weights[i], 0);
      const [x1, x2] = bend ? [x[a] + bend, x[b] + bend] : [(2 * x[a] + x[b]) / 3, (x[a] + 2 * x[b]) / 3];
      const lift = bend ? Math.min(20, (y3 - y0) / 4) : (y3 - y0) / 3;
      return [sum(x[a], x1, x2, x[b]), sum(y0, y0 + lift, y3 - lift, y3)];
    }
    for (let i = 0; i < graph.e.length; i += 2) {
      const [a, b] = [graph.e[i], graph.e[i + 1]];
      const start = [x[a], y[a] + tall], end = [x[b], y[b] - tall];
      if (graph.y[b] <= graph.y[a]) { // to the next column, along the gap between the two
        const gap = (x[a] + x[b]) / 2 + 6 * (around % 3) - 6, low = y[a] + tall + 4 + 2 * (around++ % 3);
        const side = [x[b] - half[b], y[b]];
        arrow(root, `M${start}L${x[a]},${low}L${gap},${low}L${gap},${y[b]}L${side}`, side, [gap, y[b]]);
        right = Math.max(right, gap + 6);
      } else if (graph.y[b] - graph.y[a] < 1.01) arrow(root, `M${start}L${end}`, end, start);
      else { // the smallest bend that crosses the fewest boxes
        const bends = [0, 0.5, 0.8, 1.15, 1.5, 2].flatMap((far) => far ? [far * unit, -far * unit] : [0]);
        const counts = bends.map((bend) => crossed(a, b, bend)), bend = bends[counts.indexOf(Math.min(...counts))];
        const way = Array.from({ length: 19 }, (_, k) => along(a, b, bend, (k + 1) / 20));
        for (const [px] of way) [left, right] = [Math.min(left, px - 6), Math.max(right, px + 6)];
        arrow(root, `M${start}L${way.map((p) => p.map((v) => v.toFixed(1))).join("L")}L${end}`, end, way[17]);
      }
    }
    root.setAttribute("viewBox", `${left} 0 ${right - left} ${height}`);
    root.style.width = `${right - left}px`;
    names.forEach((name, i) => {
      const colour = kinds.indexOf(kind(name));
      const group = svg("g", { class: `node ${colour < 0 ? "plain" : `k${colour}`}` }, root);
      svg("rect", { x: x[i] - half[i], y: y[i] - tall, width: 2 * half[i], height: 2 * tall, rx: 5 }, group);
      svg("text", { x: x[i], y: y[i] + 4 }, group).textContent = name;
    });
    return root;
  }

  // The card that shows an architecture: beside the pointer, on small screens at the lower edge.
  const card = make("div", null, { id: "card", role: "status", "aria-live": "polite", hidden: "" });
  const ring = make("div", null, { id: "ring", hidden: "" });
  document.body.append(card, ring);
  let pinned = null, follow = null; // follow: where the card belongs, once it is more than a hover

  const written = (value) => value === null ? "\u2013" : Number.isInteger(value) ? value.toLocaleString("en")
    : String(Number(value.toPrecision(5))).replace("-", "\u2212");

  function show(arch, values, anchor, owner) {
    if (pinned && pinned !== owner) return;
    const graph = drawing(arch);
    const close = make("button", "\u00d7", { type: "button", class: "close", "aria-label": "Close" });
    close.addEventListener("click", () => hide(true));
    card.replaceChildren(close);
    if (graph) card.append(graph);
    card.append(make("code", page.archs[arch]));
    if (!graph) card.append(make("p", "No drawing in this report.", { class: "none" }));
    const list = make("dl");
    for (const [name, value] of values) {
      const item = make("div");
      item.append(make("dt", name), make("dd", written(value)));
      list.append(item);
    }
    if (values.length) card.append(list);
    card.hidden = false;
    put(anchor);
  }

  function put(anchor) {
    if (narrow.matches) { card.style.left = card.style.top = ""; return; }
    const box = card.getBoundingClientRect(), room = document.documentElement;
    const right = anchor.x + 18, left = anchor.x - 18 - box.width;
    card.style.left = `${Math.max(8, right + box.width < room.clientWidth - 8 ? right : left)}px`;
    card.style.top = `${Math.max(8, Math.min(anchor.y - box.height / 3, room.clientHeight - box.height - 8))}px`;
  }

  function hide(force) {
    if (pinned && !force) return;
    pinned = follow = null;
    card.classList.remove("pinned");
    card.hidden = ring.hidden = true;
  }

  function pin(owner, where) {
    if (pinned === owner) { hide(true); return; }
    pinned = owner;
    follow = where;
    card.classList.add("pinned");
  }

  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(true); });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#card, .arch, .live")) hide(true);
  });
  addEventListener("scroll", () => {
    if (card.hidden) return;
    if (follow) put(follow());
    else if (!narrow.matches) hide(false);
  }, { passive: true });

  for (const button of document.querySelectorAll("button.arch")) {
    const where = () => {
      const box = button.getBoundingClientRect();
      return { x: Math.min(box.right, innerWidth / 2), y: box.top };
    };
    const open = () => show(Number(button.dataset.a), [], where(), button);
    button.addEventListener("mouseenter", open);
    button.addEventListener("focus", () => { // which may scroll
      open();
      if (!pinned) follow = where;
    });
    button.addEventListener("mouseleave", () => hide(false));
    button.addEventListener("blur", () => hide(false));
    button.addEventListener("click", () => {
      if (pinned && pinned !== button) hide(true);
      open();
      pin(button, where);
    });
  }

  // Charts.
  function colour(token, colours) {
    const [name, opacity] = token.slice(1).split("/");
    const accents = colours.accents;
    if (name === "diverging") return [[0, accents[1]], [0.5, colours.paper], [1, accents[0]]];
    if (name === "sequential") return [[0, colours.paper], [1, accents[0]]];
    const hex = name.startsWith("accent") ? accents[Number(name.slice(6))] : colours[name];
    if (!opacity) return hex;
    const parts = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
    return `rgba(${parts.join(",")},${opacity})`;
  }

  function coloured(value, colours) {
    if (typeof value === "string") return value.startsWith("@") ? colour(value, colours) : value;
    if (Array.isArray(value)) return value.map((v) => coloured(v, colours));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, coloured(v, colours)]));
  }

  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const sans = getComputedStyle(document.body).fontFamily;

  function merged(base, more) {
    const found = { ...base };
    for (const [key, value] of Object.entries(more || {})) {
      const nested = value && typeof value === "object" && !Array.isArray(value);
      found[key] = nested ? merged(found[key] || {}, value) : value;
    }
    return found;
  }

  function figure(chart, axes, width) {
    const colours = palette(), narrowed = width < 560;
    const axis = {
      gridcolor: "@grid", zerolinecolor: "@grid", linecolor: "@grid", tickcolor: "@muted", automargin: true,
      tickfont: { color: "@muted", size: narrowed ? 10 : 11 }, title: { font: { size: 12.5 }, standoff: 12 },
    };
    let traces = chart.traces, layout = {}, ticks = null;
    if (chart.columns.length) {
      const [x, y] = axes.map((i) => chart.columns[i]), first = axes[0] === chart.x && axes[1] === chart.y;
      traces = traces.filter((trace) => trace.rows || first).map((trace) => {
        if (!trace.rows) return trace;
        const { rows, ...rest } = trace;
        return { ...rest, x: rows.map((r) => x.values[r]), y: rows.map((r) => y.values[r]), customdata: rows };
      });
      layout = Object.fromEntries([["xaxis", x], ["yaxis", y]].map(([name, column]) => {
        const axisLayout = { title: { text: escaped(column.label) }, type: column.log ? "log" : "linear" };
        if (column.low !== null) {
          const top = Math.max(...column.values.filter((v) => v !== null));
          axisLayout.range = [column.low, top + 0.05 * (top - column.low)];
        }
        return [name, axisLayout];
      }));
    }
    if (traces[0] && traces[0].type === "heatmap") {
      const cut = (name) => narrowed && name.length > 13 ? `${name.slice(0, 12)}\u2026` : name;
      ticks = ["xaxis", "yaxis"].map((side) => chart.layout[side].ticktext.map(cut));
      const cell = (width - 30 - 6.4 * Math.max(...ticks[1].map((name) => name.length))) / traces[0].x.length;
      const longest = Math.max(...traces[0].text.flat().flatMap((t) => t.split("<br>").map((part) => part.length)));
      const size = Math.min(12, cell / (0.62 * longest));
      traces = [size < 8.5 ? { ...traces[0], texttemplate: "" } : { ...traces[0], textfont: { size } }];
      layout = { xaxis: { tickangle: cell < 6.4 * Math.max(...ticks[0].map((name) => name.length)) ? -45 : 0 } };
    }
    const base = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: sans, size: 12, color: "@ink" },
      margin: { l: 48, r: 16, t: 16, b: 44 }, xaxis: axis, yaxis: axis, hovermode: "closest", showlegend: false,
      legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom" }, dragmode: hovers ? "zoom" : false,
      hoverlabel: { bgcolor: "@paper", bordercolor: "@muted", font: { color: "@ink", family: sans } },
      height: narrowed ? Math.min(chart.height, 400) : chart.height, width,
    };
    const whole = merged(merged(base, layout), chart.layout);
    if (ticks) [whole.xaxis.ticktext, whole.yaxis.ticktext] = ticks;
    return [coloured(traces, colours), coloured(whole, colours)];
  }

  function explore(chart, place, redraw, axes) {
    if (chart.columns.length < 3) return;
    const row = make("div", null, { class: "pick" });
    ["Horizontal", "Vertical"].forEach((name, side) => {
      const label = make("label", `${name} axis `), choice = make("select");
      chart.columns.forEach((column, i) => choice.append(new Option(column.label, i, i === axes[side], i === axes[side])));
      choice.addEventListener("change", () => { axes[side] = Number(choice.value); hide(true); redraw(); });
      label.append(choice);
      row.append(label);
    });
    place.before(row);
  }

  async function chartIn(holder, Plotly) {
    const chart = page.charts[Number(holder.dataset.c)], axes = [chart.x, chart.y];
    const still = holder.querySelector("picture");
    const points = chart.columns.length > 0;
    const help = points ? " Arrow keys move from point to point, Escape closes." : "";
    const live = make("div", null, { class: "live", role: "group", "aria-label": chart.alt + help });
    if (points) live.tabIndex = 0;
    still.before(live);
    const redraw = () => Plotly.react(live, ...figure(chart, axes, live.clientWidth),
      { displayModeBar: false, scrollZoom: false });
    explore(chart, live, redraw, axes);
    await redraw();
    still.classList.add("off");
    dark.addEventListener("change", redraw);
    let before = live.clientWidth;
    new ResizeObserver(() => {
      if (live.clientWidth && live.clientWidth !== before) { before = live.clientWidth; redraw(); }
    }).observe(live);
    if (!points) return;

    const values = (row) => {
      const first = [...new Set([...axes, ...chart.columns.keys()])].slice(0, 8);
      return first.map((i) => [chart.columns[i].label, chart.columns[i].values[row]]);
    };
    const place = (x, y) => {
      const { xaxis, yaxis } = live._fullLayout, box = live.getBoundingClientRect();
      return { x: box.left + xaxis._offset + xaxis.d2p(x), y: box.top + yaxis._offset + yaxis.d2p(y) };
    };
    const where = (row) => {
      const at = place(...axes.map((i) => chart.columns[i].values[row]));
      ring.style.left = `${at.x}px`;
      ring.style.top = `${at.y}px`;
      return at;
    };
    const open = (row) => {
      show(chart.archs[row], values(row), where(row), live);
      ring.hidden = card.hidden;
    };
    let current = -1;
    live.on("plotly_hover", (event) => {
      const row = event.points.map((p) => p.customdata).find((r) => r !== undefined);
      if (row === undefined || pinned) return;
      current = row;
      open(row);
    });
    live.on("plotly_unhover", () => hide(false));
    live.on("plotly_click", (event) => {
      const row = event.points.map((p) => p.customdata).find((r) => r !== undefined);
      if (row === undefined) return;
      hide(true);
      current = row;
      open(row);
      pin(live, () => where(row));
    });
    live.on("plotly_relayouting", () => hide(true));
    live.addEventListener("blur", () => hide(false));
    live.addEventListener("keydown", (event) => {
      const far = Number.MAX_SAFE_INTEGER;
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, Home: -far, End: far }[event.key];
      if (!step) return;
      event.preventDefault();
      const [x, y] = axes.map((i) => chart.columns[i].values);
      const order = [...x.keys()].filter((r) => x[r] !== null && y[r] !== null).sort((a, b) => x[a] - x[b] || a - b);
      if (!order.length) return;
      const now = order.indexOf(current), next = now < 0 && step === 1 ? 0 : now + step;
      current = order[Math.max(0, Math.min(order.length - 1, next))];
      hide(true);
      open(current);
      follow = () => where(current);
    });
  }

  async function unpack() {
    const bytes = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    document.head.append(make("script", await new Response(stream).text()));
    return window.Plotly;
  }

  async function main() {
    document.querySelectorAll("table.sortable").forEach(sortable);
    const holders = [...document.querySelectorAll("figure.chart")];
    if (holders.length) {
      const Plotly = await unpack();
      for (const holder of holders) await chartIn(holder, Plotly);
    }
    document.documentElement.dataset.ready = "yes";
  }

  // An old browser keeps the still pictures.
  main().catch((error) => console.error(`Charts stay still pictures: ${error}`));
})();
