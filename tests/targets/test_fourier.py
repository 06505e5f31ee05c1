"""Fourier teachers: variance, wave numbers, covariance."""

import math

import numpy as np
from statistical import assert_close, assert_far, mean_and_error
from teacher_cases import normal

from percolaw.targets.fourier import FourierTeacher


def test_fourier_teacher_has_unit_variance_and_mean_zero():
    x = normal(5, 3, 4)
    f = FourierTeacher(n_waves=6, n_outputs=5000).sample(4, rng=0)(x)
    for row in f:
        mean, error = mean_and_error(row**2)
        assert_close(mean, 1.0, error)
        assert_far(mean, 0.5, error)
        assert_close(*_against(row, 0.0))


def _against(sample, truth):
    mean, error = mean_and_error(sample)
    return mean, truth, error


def test_fourier_wave_numbers_lie_in_their_band():
    # One dimension: a sum of m waves on a long line has all its power at |k| in the band.
    t = np.arange(8192) * 0.25
    window = np.hanning(t.size)
    frequency = 2 * math.pi * np.fft.rfftfreq(t.size, 0.25)
    centres = []
    for low, high in ((0.5, 2.0), (3.0, 3.5)):
        power = 0.0
        for seed in range(40):
            f = FourierTeacher(20, low, high).sample(1, rng=seed)(t[:, None])
            power = power + np.abs(np.fft.rfft(window * f)) ** 2
        power /= power.sum()
        inside = (frequency > low - 0.02) & (frequency < high + 0.02)
        assert power[inside].sum() > 0.9999
        narrow = (frequency > low + 0.1) & (frequency < high - 0.1)
        assert power[narrow].sum() < 0.97
        centres.append(power @ frequency)
        # Uniform in the band: no half has more than its share.
        half = power[inside & (frequency < (low + high) / 2)].sum()
        assert abs(half - 0.5) < 5 * 0.5 / math.sqrt(800)
    assert abs(centres[0] - 1.25) < 5 * 1.5 / math.sqrt(12 * 800)


def test_fourier_covariance_in_many_dimensions():
    # In d = 3 the mean of cos(k.r) over directions is sin(kr)/(kr).
    from scipy.integrate import quad

    low, high, r = 1.0, 2.0, 1.3
    x = np.array([[0.2, 0.1, -0.3], [0.2, 0.1 + r, -0.3]])
    a, b = FourierTeacher(4, low, high, n_outputs=6000).sample(3, rng=1)(x)
    mean, error = mean_and_error(a * b)
    truth = quad(lambda k: math.sin(k * r) / (k * r), low, high)[0] / (high - low)
    assert_close(mean, truth, error)
    assert_far(mean, quad(lambda k: math.cos(k * r), low, high)[0] / (high - low), error)
