// Charts of a report, drawn by plotly; without it their still pictures stay.
"use strict";
(() => {
  const { page, dark, hovers, make, palette, card, ring, show, hide, pin, pinned, moveTo } = report;

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
      const scale = { orientation: "h", thickness: 8, len: 0.9, y: 1, yanchor: "bottom", outlinewidth: 0, nticks: 5,
        tickfont: { color: "@muted", size: 10 }, ticks: "outside", ticklen: 3, tickcolor: "@muted" };
      const plain = { ...traces[0], texttemplate: "" };
      traces = size < 8.5 ? [{ ...plain, showscale: true, colorbar: scale }] : [plain, written(plain, size, colours)];
      layout = { xaxis: { tickangle: cell < 6.4 * Math.max(...ticks[0].map((name) => name.length)) ? -45 : 0 } };
    }
    const base = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: sans, size: 12, color: "@ink" },
      margin: { l: 48, r: 16, t: 16, b: 44 }, xaxis: axis, yaxis: axis, hovermode: "closest", showlegend: false,
      legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom" }, dragmode: hovers ? "zoom" : false,
      hoverlabel: { bgcolor: "@paper", bordercolor: "@muted", font: { color: "@ink", family: sans } },
      height: narrowed && chart.columns.length ? Math.min(chart.height, 400) : chart.height, width,
    };
    const whole = merged(merged(base, layout), chart.layout);
    wrapped(whole.xaxis, width - 110);
    wrapped(whole.yaxis, whole.height - 80);
    if (ticks) [whole.xaxis.ticktext, whole.yaxis.ticktext] = ticks;
    return [coloured(traces, colours), coloured(whole, colours)];
  }

  // The texts of a heat map, each dark or light, whichever reads better on its cell.
  function written(trace, size, colours) {
    const scale = coloured(trace.colorscale, colours), channels = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
    const linear = (v) => v <= 10 ? v / 3295 : ((v / 255 + 0.055) / 1.055) ** 2.4;
    const ink = (value) => {
      const place = Math.min(1, Math.max(0, (value - trace.zmin) / (trace.zmax - trace.zmin)));
      const i = Math.max(1, scale.findIndex(([at]) => at >= place)), [low, high] = [scale[i - 1], scale[i]];
      const share = (place - low[0]) / (high[0] - low[0]), [a, b] = [channels(low[1]), channels(high[1])];
      const [red, green, blue] = a.map((v, k) => linear(v + share * (b[k] - v)));
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 ? "#0d1518" : "#ffffff"; // equal contrast there
    };
    const cells = trace.z.flatMap((row, i) => row.map((value, j) => [i, j, value])).filter((cell) => cell[2] !== null);
    return {
      type: "scatter", mode: "text", hoverinfo: "skip", x: cells.map((cell) => trace.x[cell[1]]),
      y: cells.map((cell) => trace.y[cell[0]]), text: cells.map(([i, j]) => trace.text[i][j]),
      textfont: { size, color: cells.map((cell) => ink(cell[2])) },
    };
  }

  // A title of an axis that is longer than the axis is broken between words.
  function wrapped(axis, length) {
    const most = Math.max(12, length / 6.6), lines = [""];
    if (!axis || !axis.title || !axis.title.text || axis.title.text.length <= most) return;
    for (const word of axis.title.text.split(" ")) {
      const longer = `${lines[lines.length - 1]} ${word}`.trim();
      if (longer.length <= most) lines[lines.length - 1] = longer;
      else lines.push(word);
    }
    axis.title.text = lines.join("<br>");
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
      if (row === undefined || pinned()) return;
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
      moveTo(() => where(current));
    });
  }

  async function unpack() {
    const bytes = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    document.head.append(make("script", await new Response(stream).text()));
    return window.Plotly;
  }

  async function main() {
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
