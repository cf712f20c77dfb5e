"use strict";
// The isosurface of a periodic field, meshed here from its samples, so that the level can be moved. No library.
(function () {
  const said = JSON.parse(document.getElementById("volume").textContent);
  const canvas = document.getElementById("view");
  const slider = document.getElementById("level"), label = document.getElementById("level-text");
  const gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
  if (!gl) {
    document.getElementById("no-view").hidden = false;
    document.documentElement.dataset.view = "none";
    return;
  }
  const [nx, ny, nz] = said.shape, cell = said.cell;
  const bytes = Uint8Array.from(atob(said.samples), (c) => c.charCodeAt(0));
  const field = new Uint16Array(bytes.buffer);
  const wrap = (i, n) => ((i % n) + n) % n;
  const at = (i, j, k) => field[(wrap(i, nx) * ny + wrap(j, ny)) * nz + wrap(k, nz)];
  const toNumber = (v) => said.low + (said.high - said.low) * v / 65535;
  const toSample = (x) => (x - said.low) / (said.high - said.low) * 65535;

  // d/dr = inverse(cell) d/df, with the rows of the cell as lattice vectors and f the fractional coordinates
  const cross = (u, v) => [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
  const dual = [cross(cell[1], cell[2]), cross(cell[2], cell[0]), cross(cell[0], cell[1])];
  const det = cell[0].reduce((sum, x, i) => sum + x * dual[0][i], 0);
  const cartesian = (f) => [0, 1, 2].map((c) => f[0] * cell[0][c] + f[1] * cell[1][c] + f[2] * cell[2][c]);
  const middle = cartesian([0.5, 0.5, 0.5]);

  // Surface nets: one vertex in each cube that the surface passes, at the mean of its crossings with the cube's edges;
  // one quad for each edge of the grid that the surface crosses. A cube more on each side: the shader cuts at the walls.
  const CORNERS = [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1]];
  const EDGES = [[0, 1], [2, 3], [4, 5], [6, 7], [0, 2], [1, 3], [4, 6], [5, 7], [0, 4], [1, 5], [2, 6], [3, 7]];
  function mesh(level) {
    const mx = nx + 2, my = ny + 2, mz = nz + 2, vertexOf = new Int32Array(mx * my * mz).fill(-1);
    const vertices = [], quads = [], v = new Float64Array(8);
    for (let i = -1; i <= nx; i++) for (let j = -1; j <= ny; j++) for (let k = -1; k <= nz; k++) {
      let inside = 0;
      for (let c = 0; c < 8; c++) {
        v[c] = at(i + CORNERS[c][0], j + CORNERS[c][1], k + CORNERS[c][2]);
        if (v[c] > level) inside |= 1 << c;
      }
      if (inside === 0 || inside === 255) continue;
      const p = [0, 0, 0];
      let crossings = 0;
      for (const [a, b] of EDGES) {
        if (((inside >> a) & 1) === ((inside >> b) & 1)) continue;
        const t = (level - v[a]) / (v[b] - v[a]);
        for (let d = 0; d < 3; d++) p[d] += CORNERS[a][d] + t * (CORNERS[b][d] - CORNERS[a][d]);
        crossings++;
      }
      const here = ((i + 1) * my + j + 1) * mz + k + 1;
      vertexOf[here] = vertices.length / 9;
      const q = p.map((x) => x / crossings), f = [(i + q[0]) / nx, (j + q[1]) / ny, (k + q[2]) / nz];
      vertices.push(...cartesian(f).map((x, c) => x - middle[c]), ...normal(i, j, k, q), ...f);
      const steps = [my * mz, mz, 1], index = [i, j, k];
      for (let d = 0; d < 3; d++) { // the edge from corner 0 along d, between four cubes
        const e = (d + 1) % 3, g = (d + 2) % 3;
        if (index[e] < 0 || index[g] < 0 || (inside & 1) === ((inside >> (4 >> d)) & 1)) continue;
        const a = vertexOf[here], b = vertexOf[here - steps[e]];
        const c = vertexOf[here - steps[e] - steps[g]], h = vertexOf[here - steps[g]];
        quads.push(a, b, c, a, c, h);
      }
    }
    return { vertices: new Float32Array(vertices), triangles: new Uint32Array(quads) };
  }
  function normal(i, j, k, q) { // minus the gradient, trilinear between the cube's corners
    const g = [0, 0, 0];
    for (const [a, b, c] of CORNERS) {
      const w = (a ? q[0] : 1 - q[0]) * (b ? q[1] : 1 - q[1]) * (c ? q[2] : 1 - q[2]);
      const x = i + a, y = j + b, z = k + c;
      g[0] += w * nx * (at(x - 1, y, z) - at(x + 1, y, z));
      g[1] += w * ny * (at(x, y - 1, z) - at(x, y + 1, z));
      g[2] += w * nz * (at(x, y, z - 1) - at(x, y, z + 1));
    }
    const r = [0, 1, 2].map((c) => (dual[0][c] * g[0] + dual[1][c] * g[1] + dual[2][c] * g[2]) / det);
    const length = Math.hypot(...r) || 1;
    return r.map((x) => x / length);
  }

  const HEAD = "#version 300 es\nprecision highp float;\nuniform mat3 turn; uniform vec2 scale; uniform float depth;\n";
  const PLACE = "vec3 p = turn * position; gl_Position = vec4(p.xy * scale, -p.z * depth, 1.0);";
  function program(vertex, fragment) {
    const made = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, HEAD + text);
      gl.compileShader(shader);
      gl.attachShader(made, shader);
    }
    gl.linkProgram(made);
    if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
    return made;
  }
  const surface = program(
    `in vec3 position, facing, fraction; out vec3 n, f;
     void main() { ${PLACE} n = turn * facing; f = fraction; }`,
    `in vec3 n, f; out vec4 colour;
     void main() {
       if (any(lessThan(f, vec3(0.0))) || any(greaterThan(f, vec3(1.0)))) discard;
       vec3 m = normalize(n); float towards = m.z;
       vec3 base = towards >= 0.0 ? vec3(0.36, 0.60, 0.80) : vec3(0.93, 0.72, 0.38); // outside, inside
       vec3 light = normalize(vec3(0.35, 0.55, 0.75)); m *= sign(towards + 1e-9);
       float shine = pow(max(0.0, reflect(-light, m).z), 24.0);
       colour = vec4(base * (0.42 + 0.62 * max(0.0, dot(m, light))) + 0.18 * shine, 1.0);
     }`);
  const balls = program(
    `in vec3 position, tint; in float radius; out vec3 c; out float r; uniform float pixels;
     void main() { ${PLACE} gl_PointSize = 2.0 * radius * pixels; c = tint; r = radius; }`,
    `in vec3 c; in float r; out vec4 colour;
     void main() {
       vec2 q = 2.0 * gl_PointCoord - 1.0; float s = dot(q, q);
       if (s > 1.0) discard;
       vec3 m = vec3(q.x, -q.y, sqrt(1.0 - s));
       gl_FragDepth = gl_FragCoord.z - 0.5 * r * m.z * depth;
       float lit = 0.35 + 0.7 * max(0.0, dot(m, normalize(vec3(0.35, 0.55, 0.75))));
       colour = vec4(s > 0.82 ? c * 0.35 : c * lit, 1.0);
     }`);
  const lines = program(
    `in vec3 position; void main() { ${PLACE} }`, "out vec4 colour; void main() { colour = vec4(0.5, 0.5, 0.5, 1.0); }");

  function arrays(program, data, parts) { // interleaved floats
    const made = gl.createVertexArray(), buffer = gl.createBuffer();
    const stride = parts.reduce((sum, [, n]) => sum + n, 0);
    gl.bindVertexArray(made);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    let offset = 0;
    for (const [name, n] of parts) {
      const place = gl.getAttribLocation(program, name);
      if (place >= 0) {
        gl.enableVertexAttribArray(place);
        gl.vertexAttribPointer(place, n, gl.FLOAT, false, 4 * stride, 4 * offset);
      }
      offset += n;
    }
    return { made, buffer, count: data.length / stride };
  }
  const centred = (f) => cartesian(f).map((x, c) => x - middle[c]);
  const corners = EDGES.flatMap(([a, b]) => [...centred(CORNERS[a]), ...centred(CORNERS[b])]);
  const box = arrays(lines, new Float32Array(corners), [["position", 3]]);
  const atoms = arrays(
    balls, new Float32Array(said.atoms.flatMap(([f, tint, radius]) => [...centred(f), ...tint, radius])),
    [["position", 3], ["tint", 3], ["radius", 1]]);
  const ends = CORNERS.map(centred), reach = Math.max(...ends.map((r) => Math.hypot(...r)));

  let shape = null, turn = null, zoom = 1, waiting = false;
  const product = (a, b) => a.map((row) => [0, 1, 2].map((c) => row[0] * b[0][c] + row[1] * b[1][c] + row[2] * b[2][c]));
  const about = (axis, angle) => {
    const c = Math.cos(angle), s = Math.sin(angle);
    return axis === "x" ? [[1, 0, 0], [0, c, -s], [0, s, c]] : [[c, 0, s], [0, 1, 0], [-s, 0, c]];
  };
  const first = () => product(about("x", -1.18), [[Math.cos(0.5), -Math.sin(0.5), 0], [Math.sin(0.5), Math.cos(0.5), 0], [0, 0, 1]]);

  function setLevel(x) {
    const level = toSample(x), made = mesh(level);
    if (shape) { gl.deleteVertexArray(shape.made); gl.deleteBuffer(shape.buffer); gl.deleteBuffer(shape.index); }
    shape = arrays(surface, made.vertices, [["position", 3], ["facing", 3], ["fraction", 3]]);
    shape.index = gl.createBuffer();
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, shape.index);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, made.triangles, gl.STATIC_DRAW);
    shape.count = made.triangles.length;
    document.documentElement.dataset.triangles = shape.count / 3;
    let above = 0;
    for (const v of field) if (v > level) above++;
    label.textContent = `${said.name} = ${x.toPrecision(4)} ${said.units}; ${(100 * above / field.length).toFixed(1)} % of the cell has more`;
    draw();
  }
  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; paint(); });
  }
  function paint() {
    const ratio = window.devicePixelRatio || 1, w = canvas.clientWidth * ratio, h = canvas.clientHeight * ratio;
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    // As large as the cell, with the atoms at its corners, fits the way that it is turned.
    const [wide, high] = [0, 1].map((c) => 0.4 + Math.max(...ends.map((r) => Math.abs(turn[c].reduce((sum, t, i) => sum + t * r[i], 0)))));
    const s = zoom * Math.min(w / wide, h / high) / 2, flat = [0, 1, 2].flatMap((c) => turn.map((row) => row[c]));
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0); // the paper is seen, light or dark
    gl.enable(gl.DEPTH_TEST);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const use = (program, thing) => {
      gl.useProgram(program);
      gl.uniformMatrix3fv(gl.getUniformLocation(program, "turn"), false, flat);
      gl.uniform2f(gl.getUniformLocation(program, "scale"), 2 * s / w, 2 * s / h);
      gl.uniform1f(gl.getUniformLocation(program, "depth"), 0.9 / reach);
      gl.bindVertexArray(thing.made);
    };
    use(surface, shape);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, shape.index);
    gl.drawElements(gl.TRIANGLES, shape.count, gl.UNSIGNED_INT, 0);
    use(lines, box);
    gl.drawArrays(gl.LINES, 0, box.count);
    if (document.getElementById("atoms").checked) {
      use(balls, atoms);
      gl.uniform1f(gl.getUniformLocation(balls, "pixels"), s);
      gl.drawArrays(gl.POINTS, 0, atoms.count);
    }
  }
  function rotate(dx, dy) {
    turn = product(about("x", dy), product(about("y", dx), turn));
    draw();
  }
  function reset() { turn = first(); zoom = 1; draw(); }

  let held = null;
  canvas.addEventListener("pointerdown", (e) => { held = [e.clientX, e.clientY]; canvas.setPointerCapture(e.pointerId); });
  canvas.addEventListener("pointerup", () => { held = null; });
  canvas.addEventListener("pointermove", (e) => {
    if (!held) return;
    rotate((e.clientX - held[0]) * 0.008, (e.clientY - held[1]) * 0.008);
    held = [e.clientX, e.clientY];
  });
  canvas.addEventListener("wheel", (e) => {
    e.preventDefault();
    zoom = Math.min(20, Math.max(0.3, zoom * Math.exp(-e.deltaY * 0.001)));
    draw();
  }, { passive: false });
  canvas.addEventListener("keydown", (e) => {
    const by = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[e.key];
    if (by) { e.preventDefault(); rotate(...by); }
  });
  document.getElementById("reset").addEventListener("click", reset);
  document.getElementById("atoms").addEventListener("change", draw);
  slider.addEventListener("input", () => setLevel(toNumber(65535 * slider.value)));
  window.addEventListener("resize", draw);
  window.addEventListener("beforeprint", paint);

  turn = first();
  setLevel(said.level);
  slider.value = toSample(said.level) / 65535;
  paint();
  document.documentElement.dataset.view = "webgl2";
  document.documentElement.dataset.ready = performance.now().toFixed(0); // ms since the page was asked for
})();
