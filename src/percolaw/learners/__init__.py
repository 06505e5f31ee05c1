"""Learners: on trees and on points, each with fit and predict."""
