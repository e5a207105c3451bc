// SPDX-License-Identifier: MIT
// flame_tree.js: the tree of calls with the weight of what is selected, callers first or innermost
// first. Branches are only made where they are wide enough to be seen.
//
// A box: { frame, total, self, key, path } and what its tree needs to find its children. `path` is
// the frames from the outermost box to this one, `key` the same as a string.

const flameTree = (() => {
	const { parent, frame } = model.data.nodes;
	// Children follow each other, and their parents.
	const firstChild = new Int32Array(parent.length + 1).fill(parent.length);
	for (let n = parent.length - 1; n > 0; n--)
		firstChild[parent[n]] = n;
	for (let n = parent.length - 1; n >= 0; n--)
		if (firstChild[n] === parent.length)
			firstChild[n] = firstChild[n + 1];

	function childBox(box, child) {
		const path = box.path.concat(child.frame);
		return Object.assign(child, { path, key: path.join("/") });
	}

	// weights: of each node, as where stacks end.
	function callersFirst(weights) {
		const totals = Float64Array.from(weights);
		for (let n = totals.length - 1; n > 0; n--)
			totals[parent[n]] += totals[n];
		return {
			root: { frame: -1, node: 0, total: totals[0], self: weights[0], path: [], key: "" },
			children(box, least) {
				const found = [];
				for (let n = firstChild[box.node]; n < parent.length && parent[n] === box.node; n++)
					if (totals[n] > 0 && totals[n] >= least)
						found.push(childBox(box, { frame: frame[n], node: n, total: totals[n], self: weights[n] }));
				return found;
			},
		};
	}

	function innermostFirst(weights) {
		const cursors = [];
		let total = 0;
		for (let n = 0; n < weights.length; n++)
			if (weights[n] > 0) {
				cursors.push([n, weights[n]]);
				total += weights[n];
			}
		return {
			root: { frame: -1, cursors, total, self: 0, path: [], key: "" },
			children(box, least) {
				const groups = new Map();
				for (const [node, weight] of box.cursors) {
					if (node === 0)
						continue;
					let group = groups.get(frame[node]);
					if (!group)
						groups.set(frame[node], group = { frame: frame[node], total: 0, self: 0, cursors: [] });
					group.total += weight;
					group.cursors.push([parent[node], weight]);
					if (parent[node] === 0)
						group.self += weight;
				}
				return Array.from(groups.values()).filter(group => group.total >= least)
					.sort((a, b) => b.total - a.total).map(group => childBox(box, group));
			},
		};
	}

	// Walks from the root along a path of frames: the boxes on the way, as far as they exist.
	function follow(tree, path) {
		const boxes = [tree.root];
		for (const step of path) {
			const next = tree.children(boxes[boxes.length - 1], 0).find(box => box.frame === step);
			if (!next)
				break;
			boxes.push(next);
		}
		return boxes;
	}

	// The weight of all stacks with a frame for which found[frame] is 1.
	function weightOf(weights, found) {
		const inside = new Uint8Array(parent.length);
		let sum = 0;
		for (let n = 1; n < parent.length; n++) {
			inside[n] = inside[parent[n]] | found[frame[n]];
			if (inside[n])
				sum += weights[n];
		}
		return sum;
	}

	return { make: (weights, inverted) => (inverted ? innermostFirst : callersFirst)(weights), follow, weightOf };
})();
