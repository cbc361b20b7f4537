"""Novel conditions do to a body what they say, by MuJoCo's own dynamics and by closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium", reason="needs brian2-neuromod[locomotion]")
mujoco = pytest.importorskip("mujoco", reason="needs brian2-neuromod[locomotion]")

from neuromod.errors import UserError  # noqa: E402
from neuromod.locomotion import frames  # noqa: E402
from neuromod.locomotion.bodies import BODIES, Crowd, body, make  # noqa: E402
from neuromod.locomotion.conditions import Novel, capsule, change_for, condition, lacking  # noqa: E402

NOVEL = Novel(weak=0.37, mass=1.46, slippery=0.53, rough=2.1, gravity=1.7, length=0.63)


def changed(name: str, novel: str):
    """A body as it is, and under a condition."""
    return make(name), make(name, change_for(novel, name, NOVEL))


def accelerated(environment, ctrl: float = 0.0, weight: bool = True, height: float = 0.0):
    """Generalised accelerations at rest in the model's own pose, under the same command to all."""
    model, data = environment.model, environment.data
    mujoco.mj_resetData(model, data)
    if not weight:
        model.opt.gravity[:] = 0
    data.qpos[1] += height
    data.ctrl[:] = ctrl
    mujoco.mj_forward(model, data)
    return data.qacc.copy()


@pytest.mark.parametrize("name", BODIES)
def test_a_heavy_body_has_all_its_mass_times_the_factor(name):
    usual, heavy = changed(name, "heavy")
    before = usual.model.body_mass.sum()
    assert heavy.model.body_mass.sum() == pytest.approx(1.46 * before)
    # MuJoCo's own sums follow.
    assert heavy.model.body_subtreemass[0] == pytest.approx(1.46 * before)


def test_a_heavy_body_answers_a_force_by_less_in_proportion():
    usual, heavy = changed("inverted-pendulum", "heavy")
    pushed, slowly = (accelerated(one, 0.71, weight=False) for one in (usual, heavy))
    assert pushed == pytest.approx(1.46 * slowly)
    assert abs(pushed[0]) > 1


def test_under_stronger_gravity_a_body_falls_faster():
    usual, strong = changed("half-cheetah", "gravity")
    # High above the ground, with all springs at rest, nothing but the fall is left.
    for environment, expected in ((usual, 9.81), (strong, 1.7 * 9.81)):
        fall = accelerated(environment, height=4.2)
        assert fall[1] == pytest.approx(-expected, rel=1e-6)
        assert np.abs(np.delete(fall, 1)).max() < 1e-6


@pytest.mark.parametrize("name", BODIES)
def test_a_weak_motor_exerts_its_share_and_the_others_as_before(name):
    forces = []
    for environment in changed(name, "weak joint"):
        accelerated(environment, 0.83)
        forces.append(environment.data.qfrc_actuator.copy())
    joint = int(make(name).model.joint(BODIES[name].joint).dofadr[0])
    assert forces[1][joint] == pytest.approx(0.37 * forces[0][joint])
    assert abs(forces[0][joint]) > 0
    assert np.delete(forces[1], joint) == pytest.approx(np.delete(forces[0], joint))


@pytest.mark.parametrize("name", ["swimmer", "half-cheetah", "ant"])
def test_a_locked_joint_stays_where_it_is(name):
    moved = []
    for environment in changed(name, "locked joint"):
        environment.reset(seed=3)
        joint = int(environment.model.joint(BODIES[name].joint).qposadr[0])
        began, draw, most = environment.data.qpos[joint], np.random.default_rng(4), 0.0
        for _ in range(60):
            environment.step(draw.choice([-1.0, 1.0], environment.model.nu))
            most = max(most, abs(environment.data.qpos[joint] - began))
        moved.append(most)
    assert moved[0] > 0.5
    assert moved[1] < 0.08


@pytest.mark.parametrize(("novel", "factor"), [("slippery", 0.53), ("rough", 2.1)])
def test_sliding_feet_rub_by_the_coefficient_times_the_load(novel, factor):
    ratios = []
    for environment in changed("half-cheetah", novel):
        model, data = environment.model, environment.data
        mujoco.mj_resetData(model, data)
        mujoco.mj_step(model, data, nstep=60)
        data.qvel[0] = 7.0
        mujoco.mj_forward(model, data)
        force = np.zeros(6)
        mujoco.mj_contactForce(model, data, 0, force)
        assert force[0] > 1
        ratios.append(np.hypot(*force[1:3]) / force[0])
    assert ratios[0] == pytest.approx(0.4, rel=0.01)
    assert ratios[1] == pytest.approx(0.4 * factor, rel=0.01)


@pytest.mark.parametrize(("novel", "factor"), [("thin medium", 0.53), ("thick medium", 2.1)])
def test_drag_of_a_swimmer_is_proportional_to_the_medium(novel, factor):
    drags = []
    for environment in changed("swimmer", novel):
        model, data = environment.model, environment.data
        data.qvel[:] = [0.31, -0.2, 0.7, 1.1, -0.6]
        mujoco.mj_forward(model, data)
        drags.append(data.qfrc_passive.copy())
    assert drags[1] == pytest.approx(factor * drags[0])
    assert np.abs(drags[0]).min() > 0


CAPSULE = """
<mujoco><worldbody><body><freejoint/>
<geom type="capsule" size="{radius} {half}" density="{density}"/>
</body></worldbody></mujoco>
"""


def test_a_capsule_has_the_mass_and_the_moments_that_mujoco_gives_one():
    made = mujoco.MjModel.from_xml_string(CAPSULE.format(radius=0.043, half=0.118, density=870))
    volume, inertia = capsule(0.043, 0.118)
    assert 870 * volume == pytest.approx(made.body_mass[1])
    assert 870 * inertia == pytest.approx(made.body_inertia[1])


@pytest.mark.parametrize("name", BODIES)
def test_a_short_limb_is_a_shorter_capsule_of_the_same_density(name):
    usual, short = (one.model for one in changed(name, "short limb"))
    limb = usual.jnt_bodyid[usual.joint(BODIES[name].limb).id]
    part = usual.body_geomadr[limb]
    (radius, half, _), density = usual.geom_size[part], usual.body_mass[limb]
    density /= capsule(radius, half)[0]
    assert short.geom_size[part] == pytest.approx([radius, 0.63 * half, 0])
    made = CAPSULE.format(radius=radius, half=0.63 * half, density=density)
    own = mujoco.MjModel.from_xml_string(made)
    assert short.body_mass[limb] == pytest.approx(own.body_mass[1])
    assert short.body_inertia[limb] == pytest.approx(own.body_inertia[1])
    others = np.delete(np.arange(usual.nbody), limb)
    assert (short.body_mass[others] == usual.body_mass[others]).all()


def test_a_foot_hangs_at_the_end_of_its_shorter_leg():
    places = []
    for environment in changed("half-cheetah", "short limb"):
        accelerated(environment)
        places.append(environment.data.body("ffoot").xpos - environment.data.body("fshin").xpos)
    assert places[1] == pytest.approx(0.63 * places[0])


def test_conditions_that_mean_nothing_for_a_body_are_told_with_the_reason():
    contact, vacuum = "none of its surfaces touch", "it moves in a vacuum"
    legs = {"thin medium": vacuum, "thick medium": vacuum}
    assert lacking("half-cheetah") == legs
    assert lacking("ant") == legs
    swims = {"slippery": contact, "rough": contact, "gravity": "it moves in a horizontal plane"}
    assert lacking("swimmer") == swims
    one = {"locked joint": "its only motor moves that joint", "slippery": contact}
    assert lacking("inverted-pendulum") == one | {"rough": contact} | legs


def test_changes_of_one_copy_leave_the_others_as_they_are():
    crowd = Crowd("swimmer", [None, change_for("heavy", "swimmer", NOVEL), None])
    first, heavy, last = (one.model.body_mass.sum() for one in crowd.environments)
    assert first == last
    assert heavy == pytest.approx(1.46 * first)


def test_a_copy_that_has_fallen_is_not_moved_any_more():
    crowd = Crowd("inverted-pendulum", [None, None])
    crowd.reset([5, 6])
    went_on = [crowd.step(np.array([[3.0], [0.0]])) for _ in range(9)]
    standing = np.array([moment[2] for moment in went_on])
    assert not standing[-1, 0]
    assert standing[-1, 1]
    fell = int(np.argmin(standing[:, 0]))
    seen, rewards = np.array([m[0] for m in went_on]), np.array([m[1] for m in went_on])
    assert (seen[fell:, 0] == seen[fell, 0]).all()
    assert (rewards[fell + 1 :, 0] == 0).all()


def test_warnings_of_mujoco_leave_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make("half-cheetah")
    assert not list(Path().iterdir())


def test_outlines_are_the_axes_of_capsules():
    environment = make("swimmer")
    mujoco.mj_forward(environment.model, environment.data)
    parts = frames.outlines(environment)
    # Three capsules of a metre in a row, 10 cm thick.
    lengths = np.linalg.norm(parts[:, :3] - parts[:, 3:6], axis=1)
    assert lengths == pytest.approx([1, 1, 1])
    assert parts[:, 6] == pytest.approx(0.1)
    assert np.ptp(parts[:, [0, 3]]) == pytest.approx(3)


def test_pictures_show_the_body_where_mujoco_renders():
    environment = make("ant")
    environment.reset(seed=1)
    picture = frames.rendered(environment, -12.0, 48, 36)
    if picture is None:
        pytest.skip("MuJoCo does not render here.")
    assert picture.shape == (36, 48, 3)
    assert picture.std() > 5


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean swimmer"):
        body("swimer")
    with pytest.raises(UserError, match="did you mean heavy"):
        condition("hevy")
    with pytest.raises(UserError, match=r"length = 1\.2"):
        Novel(length=1.2)
